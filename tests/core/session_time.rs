//! Deadlines in virtual time: CONNACK, keep-alive, a peer that is gone, a full inbox.

use oxmqtt_protocol::codec::{Properties, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{Closed, Trace};

use crate::VERSIONS;
use crate::session_rig::{Rig, SECOND};
use crate::session_wire::{PINGRESP, Sent, deliver};

fn keep_alive(version: Version, seconds: u16) -> Rig {
    let mut rig = Rig::new(version);
    rig.options.keep_alive = seconds;
    rig.go_online(false, &[]);
    rig
}

#[test]
fn connack_has_a_deadline() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.connect();
        assert_eq!(rig.session.poll_timeout(), Some(rig.now + 5 * SECOND));
        rig.feed(&[0x20]);
        rig.wait(4 * SECOND);
        assert!(!rig.session.wants_close());
        rig.wait(SECOND);
        assert!(matches!(rig.closed(), Closed::ConnAckTimeout));
        assert_eq!(rig.sent(), []);
        assert_eq!(rig.session.poll_timeout(), None);
    }
}

/// The inbox is full, so CONNACK may have come and nobody looked.
#[test]
fn the_deadline_of_connack_waits_while_nothing_is_read() {
    for version in VERSIONS {
        let mut rig = Rig::new(version);
        rig.connect();
        for _ in 0..3 {
            rig.now += 5 * SECOND;
            rig.session.handle_timeout(rig.now, false, || 0);
            assert!(!rig.session.wants_close());
            assert_eq!(rig.session.poll_timeout(), Some(rig.now + 5 * SECOND));
        }
        rig.wait(5 * SECOND);
        assert!(matches!(rig.closed(), Closed::ConnAckTimeout));
    }
}

#[test]
fn an_idle_connection_pings_and_lives() {
    for version in VERSIONS {
        let mut rig = keep_alive(version, 10);
        for _ in 0..5 {
            assert_eq!(rig.session.poll_timeout(), Some(rig.now + 10 * SECOND));
            rig.wait(10 * SECOND);
            assert_eq!(rig.sent(), [Sent::PingReq]);
            assert_eq!(rig.exchange(&PINGRESP), []);
            assert!(rig.session.is_online());
        }
    }
}

#[test]
fn a_silent_peer_is_given_up_after_one_and_a_half_keep_alives() {
    for version in VERSIONS {
        let mut rig = keep_alive(version, 10);
        rig.wait(10 * SECOND);
        assert_eq!(rig.sent(), [Sent::PingReq]);
        for _ in 0..4 {
            assert_eq!(rig.session.poll_timeout(), Some(rig.now + SECOND), "a look");
            rig.wait(SECOND);
            assert!(rig.session.is_online());
        }
        rig.wait(SECOND);
        assert!(matches!(rig.closed(), Closed::KeepAlive));
    }
}

#[test]
fn publishing_all_the_time_does_not_hide_it() {
    for version in VERSIONS {
        let mut rig = keep_alive(version, 10);
        let start = rig.now;
        while rig.session.is_online() {
            rig.publish_0(b"m");
            rig.sent();
            rig.wait(SECOND);
        }
        assert_eq!(rig.now, start + 15 * SECOND);
    }
}

#[test]
fn a_long_download_is_a_sign_of_life() {
    let mut rig = keep_alive(Version::V311, 10);
    let large = crate::session_wire::packet(0x30, &[&b"\0\x01t"[..], &[0; 1000]].concat());
    for byte in large.chunks(10) {
        rig.feed(byte);
        rig.wait(3 * SECOND);
        assert!(rig.session.is_online());
    }
    assert_eq!(rig.messages().len(), 1);
}

#[test]
fn receiving_all_the_time_does_not_spare_the_pings() {
    for version in VERSIONS {
        let mut rig = keep_alive(version, 10);
        for second in 1..=30 {
            rig.feed(&deliver(version, 0, 0));
            rig.wait(SECOND);
            let expected: &[Sent] = if second % 10 == 0 { &[Sent::PingReq] } else { &[] };
            assert_eq!(rig.sent(), expected, "second {second}");
        }
    }
}

#[test]
fn keep_alive_zero_never_pings() {
    for version in VERSIONS {
        let mut rig = keep_alive(version, 0);
        assert_eq!(rig.session.poll_timeout(), None);
        rig.wait(100_000 * SECOND);
        assert_eq!(rig.sent(), []);
        assert!(rig.session.is_online());
    }
}

#[test]
fn the_server_sets_the_keep_alive() {
    for (seconds, expected) in [(3, Some(3)), (0, None)] {
        let mut rig = Rig::new(Version::V5);
        rig.go_online(false, &[0x13, 0, seconds]);
        let due = expected.map(|seconds| rig.now + seconds * SECOND);
        assert_eq!(rig.session.poll_timeout(), due);
        rig.cut();
        rig.go_online(true, &[]);
        assert_eq!(rig.session.poll_timeout(), Some(rig.now + 60 * SECOND));
    }
}

#[test]
fn a_full_inbox_suspends_the_verdict_and_keeps_pinging() {
    for version in VERSIONS {
        let mut rig = keep_alive(version, 10);
        let mut pings = 0;
        for _ in 0..100 {
            rig.now += SECOND;
            rig.session.handle_timeout(rig.now, false, || 0);
            pings += rig.sent().len();
        }
        assert_eq!(pings, 10);
        assert!(rig.session.is_online());
        rig.now += 14 * SECOND;
        rig.session.handle_timeout(rig.now, true, || 0);
        rig.sent();
        assert!(rig.session.is_online() || rig.session.wants_close());
    }
}

#[test]
fn after_a_full_inbox_a_dead_peer_is_still_found() {
    let mut rig = keep_alive(Version::V311, 10);
    rig.now += 60 * SECOND;
    rig.session.handle_timeout(rig.now, false, || 0);
    let resumed = rig.now;
    while rig.session.is_online() {
        rig.now = rig.session.poll_timeout().unwrap();
        rig.session.handle_timeout(rig.now, true, || 0);
        rig.sent();
    }
    assert!(rig.now <= resumed + 15 * SECOND);
}

#[test]
fn a_deadline_that_was_served_moves_on() {
    for version in VERSIONS {
        for reading in [true, false] {
            let mut rig = keep_alive(version, 10);
            for _ in 0..50 {
                let Some(deadline) = rig.session.poll_timeout() else {
                    break;
                };
                rig.now = deadline;
                rig.session.handle_timeout(rig.now, reading, || 0);
                rig.sent();
                assert_ne!(rig.session.poll_timeout(), Some(deadline), "a driver would spin");
            }
        }
    }
}

#[test]
fn waiting_messages_do_not_stop_the_clock() {
    let mut rig = keep_alive(Version::V5, 10);
    for _ in 0..100 {
        rig.publish(QoS::AtLeastOnce);
    }
    rig.sent();
    rig.wait(10 * SECOND);
    assert_eq!(rig.sent(), [Sent::PingReq]);
    rig.wait(5 * SECOND);
    assert!(matches!(rig.closed(), Closed::KeepAlive));
    assert_eq!(rig.session.unfinished(), 100);
}

#[test]
fn pings_are_traced_on_request() {
    let mut rig = Rig::with(|config| config.trace = true);
    rig.options.keep_alive = 1;
    rig.go_online(false, &[]);
    rig.wait(SECOND);
    rig.feed(&PINGRESP);
    let events = format!("{:?}", rig.events());
    let expected =
        format!("[Trace({:?}), Trace({:?})]", Trace::SentPingReq, Trace::ReceivedPingResp);
    assert_eq!(events, expected);
}

/// A PINGREQ that waits behind our own bytes is not unanswered while those leave.
#[test]
fn a_slow_link_is_not_a_dead_peer() {
    let mut rig = keep_alive(Version::V311, 2);
    let size = 1_000_000;
    rig.publish_0(&vec![0; size]);
    let mut buffer = Vec::new();
    rig.session.take_output(&mut buffer);
    rig.session.handle_written(buffer.len(), rig.now);
    let start = rig.now;
    let mut held = buffer.len();
    while held > 0 {
        let deadline = rig.session.poll_timeout().unwrap();
        rig.now = deadline;
        let passed = (rig.now - start).as_secs() as usize;
        held = buffer.len().saturating_sub(passed * 5_000);
        rig.session.handle_timeout(rig.now, true, || held);
        assert!(rig.session.is_online(), "given up with {held} bytes on their way");
        rig.sent();
    }
    rig.feed(&PINGRESP);
    let asked = rig.now;
    while rig.session.is_online() {
        rig.now = rig.session.poll_timeout().unwrap();
        rig.session.handle_timeout(rig.now, true, || 0);
        rig.sent();
    }
    assert!(rig.now <= asked + 3 * SECOND, "its silence counts now");
}

/// Bytes that the kernel took and the peer does not take are no sign of life.
#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let mut rig = keep_alive(Version::V311, 2);
    rig.publish_0(&[0; 1000]);
    rig.sent();
    let (start, mut held) = (rig.now, 1000);
    while rig.session.is_online() {
        rig.now = rig.session.poll_timeout().unwrap();
        rig.session.handle_timeout(rig.now, true, || held);
        held += 2 * rig.sent().len();
    }
    assert_eq!(rig.now, start + 7 * SECOND, "asked after two seconds, five without a move");
}

#[test]
fn draining_goes_on_while_the_peer_takes_bytes() {
    let mut rig = keep_alive(Version::V311, 0);
    rig.publish_0(&[0; 100_000]);
    rig.session.disconnect(ReasonCode(0), Properties::default(), rig.now);
    let mut buffer = Vec::new();
    rig.session.take_output(&mut buffer);
    rig.session.handle_written(50_000, rig.now);
    for step in 1..=20 {
        rig.now = rig.session.poll_timeout().unwrap();
        rig.session.handle_timeout(rig.now, true, || 50_000 - step);
        assert!(!rig.session.wants_close());
    }
    let stopped = rig.now;
    while !rig.session.wants_close() {
        rig.now = rig.session.poll_timeout().unwrap();
        rig.session.handle_timeout(rig.now, true, || 49_980);
    }
    assert_eq!(rig.now, stopped + 5 * SECOND);
}

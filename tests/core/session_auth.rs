//! Enhanced authentication: AUTH both ways, its turns and its deadlines (clause 4.12).

use oxmqtt_protocol::codec::{PacketType, Properties, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{Closed, Event};

use crate::session_rig::{Rig, SECOND, properties};
use crate::session_wire::{Sent, connack, packet};

/// Authentication Method "m", and with Authentication Data "d".
const METHOD: [u8; 4] = [0x15, 0, 1, b'm'];
const WITH_DATA: [u8; 8] = [0x15, 0, 1, b'm', 0x16, 0, 1, b'd'];

const CONTINUE: u8 = 0x18;
const AGAIN: u8 = 0x19;

/// AUTH of the server.
fn auth(reason: u8, list: &[u8]) -> Vec<u8> {
    packet(0xF0, &[&[reason, list.len() as u8], list].concat())
}

/// A client that takes AUTH, and the method in its CONNECT.
fn rig(list: &[u8]) -> Rig {
    let mut rig = Rig::with(|config| {
        config.version = Version::V5;
        config.accepts_auth = true;
    });
    rig.options.properties = properties(PacketType::Connect, list);
    rig
}

fn connecting() -> Rig {
    let mut rig = rig(&METHOD);
    rig.connect();
    rig
}

fn online() -> Rig {
    let mut rig = connecting();
    rig.accept(false, &METHOD);
    rig
}

impl Rig {
    fn answer(&mut self, reason: u8, data: Option<&[u8]>) -> bool {
        self.session.authenticate(ReasonCode(reason), data, self.now)
    }

    /// Reason and data of the AUTH that the application heard of; nothing else may have happened.
    fn heard(&mut self) -> Vec<(u8, Option<Vec<u8>>)> {
        let heard = |event| match event {
            Event::Auth { reason, properties } => {
                let data = Properties::authentication_data(&properties).map(<[u8]>::to_vec);
                (reason.0, data)
            }
            other => panic!("{other:?}"),
        };
        self.events().into_iter().map(heard).collect()
    }
}

#[test]
fn an_exchange_before_connack() {
    let mut rig = connecting();
    for _ in 0..3 {
        rig.feed(&auth(CONTINUE, &WITH_DATA));
        assert_eq!(rig.heard(), [(CONTINUE, Some(b"d".to_vec()))]);
        assert!(rig.answer(CONTINUE, Some(b"x")));
        let list = [&METHOD[..], &[0x16, 0, 1, b'x']].concat();
        assert_eq!(rig.sent(), [Sent::Auth(CONTINUE, list)]);
    }
    rig.accept(false, &METHOD);
    assert!(rig.session.is_online());
}

#[test]
fn nothing_else_goes_out_before_connack() {
    let mut rig = connecting();
    rig.publish(QoS::AtLeastOnce);
    rig.feed(&auth(CONTINUE, &METHOD));
    assert_eq!(rig.sent(), []);
    assert!(rig.answer(CONTINUE, None));
    assert_eq!(rig.sent(), [Sent::Auth(CONTINUE, METHOD.to_vec())]);
    assert_eq!(rig.accept(false, &METHOD).len(), 1);
}

#[test]
fn a_client_begins_again_on_the_connection_that_stands() {
    let mut rig = online();
    assert!(rig.answer(AGAIN, Some(b"x")));
    assert_eq!(rig.sent().len(), 1);
    assert!(!rig.answer(AGAIN, None), "one exchange at a time");
    rig.publish(QoS::AtLeastOnce);
    assert_eq!(rig.sent().len(), 1, "the connection is used meanwhile");
    rig.feed(&auth(CONTINUE, &WITH_DATA));
    assert!(rig.answer(CONTINUE, None));
    assert_eq!(rig.sent(), [Sent::Auth(CONTINUE, METHOD.to_vec())]);
    rig.feed(&auth(0, &METHOD));
    assert_eq!(rig.heard(), [(CONTINUE, Some(b"d".to_vec())), (0, None)]);
    assert!(rig.answer(AGAIN, None), "and again");
}

#[test]
fn what_is_not_due_is_not_sent() {
    let mut offline = rig(&METHOD);
    assert!(!offline.answer(AGAIN, None));
    let mut rig = connecting();
    assert!(!rig.answer(CONTINUE, None), "nobody asked");
    assert!(!rig.answer(AGAIN, None), "there is no connection yet");
    rig.feed(&auth(CONTINUE, &METHOD));
    assert!(!rig.answer(AGAIN, None));
    assert!(!rig.answer(0, None), "only a server says success");
    rig.feed(&connack(Version::V5, false, 0, &METHOD));
    assert!(!rig.answer(CONTINUE, None), "the server did not wait for it");
    assert_eq!(rig.sent(), []);
}

#[test]
fn without_a_method_there_is_no_exchange() {
    let mut rig = rig(&[]);
    rig.go_online(false, &[]);
    assert!(!rig.answer(AGAIN, None));
    rig.feed(&auth(CONTINUE, &METHOD));
    rig.assert_refused(0x82);
}

#[test]
fn what_the_server_may_not_send() {
    let other = [0x15, 0, 1, b'n'];
    for (early, bytes) in [
        (true, auth(0, &METHOD)),
        (true, auth(AGAIN, &METHOD)),
        (true, auth(CONTINUE, &other)),
        (true, packet(0xF0, &[])),
        (true, [auth(CONTINUE, &METHOD), auth(CONTINUE, &METHOD)].concat()),
        (false, auth(CONTINUE, &METHOD)),
        (false, auth(0, &METHOD)),
        (false, auth(AGAIN, &METHOD)),
    ] {
        let mut rig = if early { connecting() } else { online() };
        rig.feed(&bytes);
        rig.assert_refused(0x82);
    }
}

#[test]
fn problem_information_only_if_it_was_asked_for() {
    let mut rig = rig(&[&METHOD[..], &[0x17, 0]].concat());
    rig.connect();
    rig.feed(&auth(CONTINUE, &[&METHOD[..], &[0x1F, 0, 1, b'?']].concat()));
    rig.assert_refused(0x82);
}

#[test]
fn a_client_that_takes_no_auth_refuses_it() {
    let mut rig = Rig::new(Version::V5);
    rig.options.properties = properties(PacketType::Connect, &METHOD);
    rig.connect();
    rig.feed(&auth(CONTINUE, &METHOD));
    rig.assert_refused(0x82);
}

#[test]
fn each_step_has_the_time_of_connack_and_the_application_ten_times_that() {
    let mut rig = connecting();
    rig.wait(4 * SECOND);
    rig.feed(&auth(CONTINUE, &METHOD));
    rig.wait(49 * SECOND);
    assert!(rig.answer(CONTINUE, None));
    rig.sent();
    rig.wait(4 * SECOND);
    assert!(!rig.session.wants_close());
    rig.wait(SECOND);
    assert!(matches!(rig.closed(), Closed::ConnAckTimeout));

    let mut rig = connecting();
    rig.feed(&auth(CONTINUE, &METHOD));
    rig.wait(50 * SECOND);
    rig.events();
    assert!(matches!(rig.closed(), Closed::ConnAckTimeout));
}

#[test]
fn an_answer_that_the_server_does_not_take_is_not_sent() {
    let mut rig = connecting();
    rig.accept(false, &[&METHOD[..], &[0x27, 0, 0, 0, 30]].concat());
    assert!(!rig.answer(AGAIN, Some(&[b'x'; 30])));
    assert_eq!(rig.sent(), []);
    assert!(rig.answer(AGAIN, Some(b"x")));
}

#[test]
fn an_exchange_ends_with_its_connection() {
    let mut rig = online();
    assert!(rig.answer(AGAIN, None));
    rig.cut();
    rig.events();
    assert!(!rig.answer(CONTINUE, None));
    rig.go_online(false, &METHOD);
    rig.feed(&auth(0, &METHOD));
    rig.assert_refused(0x82);
}

#[test]
fn data_does_not_show() {
    let mut rig = connecting();
    rig.feed(&auth(CONTINUE, &[&METHOD[..], &[0x16, 0, 7], b"hunter2"].concat()));
    assert!(!format!("{:?}", rig.events()).contains("hunter2"));
}

#[test]
fn the_time_of_the_application_does_not_shrink_while_nobody_reads() {
    let mut rig = connecting();
    rig.feed(&auth(CONTINUE, &METHOD));
    rig.now += 5 * SECOND;
    rig.session.handle_timeout(rig.now, false, || 0);
    rig.wait(40 * SECOND);
    assert!(rig.answer(CONTINUE, None));
}

#[test]
fn mqtt_3_has_no_exchange() {
    for version in [Version::V31, Version::V311] {
        let mut rig = Rig::with(|config| {
            config.version = version;
            config.accepts_auth = true;
        });
        rig.connect();
        assert!(!rig.answer(AGAIN, None));
        rig.feed(&packet(0xF0, &[]));
        rig.assert_refused(0x82);
    }
}

#[test]
fn a_disconnect_of_the_server_ends_an_exchange_with_its_reason() {
    let mut rig = online();
    assert!(rig.answer(AGAIN, None));
    rig.feed(&packet(0xE0, &[0x87, 0]));
    let refused = Some(ReasonCode::NOT_AUTHORIZED);
    assert!(matches!(rig.closed(), Closed::ByServer { reason, .. } if reason == refused));
}

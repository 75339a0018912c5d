//! What must hold, and how a breach of it ends a run without the noise of a panic.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The promises of the session, as the simulation and the model check name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Property {
    /// Never more unacknowledged messages than min(max_inflight, Receive Maximum).
    Quota,
    /// Messages go out, and come in, in the order in which they were accepted.
    Order,
    /// DUP on what was sent before, and on nothing else.
    Dup,
    /// No packet identifier names two things at once.
    Identifier,
    /// Every accepted message arrives or fails with a reason; what is acknowledged was delivered.
    Loss,
    /// No QoS 2 message is taken twice by a session, on either side.
    Duplicate,
    /// A ticket settles once, and says what the server said.
    Ticket,
    /// One Closed event for each connection, with the true reason, and no event after it.
    Closed,
    /// The session keeps no more than it was given to keep.
    Memory,
    /// CONNACK deadline, one and a half keep-alives, pings in time, no early verdict.
    Deadline,
    /// Nothing is sent after DISCONNECT or without a connection.
    Silence,
    /// A breach by the server ends the connection with the right reason, and nothing else does.
    Reaction,
    /// A server takes each message for the topic that it was published to.
    Alias,
    /// The limits that the server announced hold, and refuse nothing else.
    Limit,
    /// A connection that lives for two round trips completes a message.
    Progress,
    /// The session does not panic.
    Panic,
}

/// A property that did not hold, and where.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) property: Property,
    pub(crate) detail: String,
}

/// Ends the run that [`caught`] has started; the panic hook stays silent.
pub(crate) fn violated(property: Property, detail: String) -> ! {
    resume_unwind(Box::new(Violation { property, detail }))
}

/// Runs until the end or the first violation. A panic is one, too.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let payload = match payload.downcast::<Violation>() {
            Ok(violation) => return *violation,
            Err(payload) => payload,
        };
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Violation { property: Property::Panic, detail: text.unwrap_or_default() }
    })
}

/// `ensure!(Quota, in_flight <= quota, "{in_flight} of {quota}")`
macro_rules! ensure {
    ($property:ident, $holds:expr, $($text:tt)+) => {
        if !$holds {
            $crate::sim::violation::violated(
                $crate::sim::violation::Property::$property,
                format!($($text)+),
            )
        }
    };
}
pub(crate) use ensure;

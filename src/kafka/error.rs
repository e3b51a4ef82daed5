//! Error: why the consumer cannot begin, go on, or end well.

use std::error;
use std::fmt;
use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::Partition;

/// Why a consumer cannot begin, go on, or end well.
///
/// Errors that librdkafka recovers from by itself, such as a broker that is away for a while, are not among them. They are
/// reported to the [`Observer`](crate::kafka::Observer) and counted in
/// [`transient_errors`](crate::kafka::Kafka::transient_errors).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A setting is missing, contradicts what this module does, or is out of its range.
    Setting {
        /// The setting, as in the configuration or as the method is called.
        name: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The client could not be created, or could not subscribe.
    Client(KafkaError),
    /// librdkafka cannot go on, or the broker does not let it. What has been settled is committed by
    /// [`close`](crate::kafka::Kafka::close) if the broker still takes it.
    Fatal(KafkaError),
    /// A message was dropped, and its position was never settled.
    ///
    /// It is a mistake in the pipeline: see [`settle`](crate::positions::Position::settle). It also comes if a pipeline was
    /// dropped with messages in flight, for instance after a failure, and another one was begun with the same consumer: close
    /// the consumer instead, and begin with a new one.
    Unsettled(Partition),
    /// The driver was dropped, or its task has panicked or was aborted.
    DriverGone,
    /// The consumer has been assigned partitions, and the driver was never polled.
    DriverNotStarted,
    /// What was settled last could not be committed. It will be repeated.
    LastCommit(Arc<dyn error::Error + Send + Sync>),
}

impl Error {
    pub(super) fn setting(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Setting {
            name,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, reason } => write!(f, "the setting {name} {reason}"),
            Self::Client(error) => write!(f, "the Kafka consumer could not be created: {error}"),
            Self::Fatal(error) => {
                write!(f, "the Kafka consumer cannot go on: {error}")?;
                match advice(error) {
                    Some(advice) => write!(f, "; {advice}"),
                    None => Ok(()),
                }
            }
            Self::Unsettled(partition) => write!(
                f,
                "a message of {partition} was dropped without being settled, so its partition can no longer be committed: \
                 call `offset.offset().settle(outcome.is_some())` for each result in the closure of `try_drive`, and \
                 `message.position().settle(true)` for each message that you filter out"
            ),
            Self::DriverGone => write!(
                f,
                "the driver has ended before the consumer was closed: keep it running until `close` has returned, for \
                 instance with `tokio::spawn(driver)`"
            ),
            Self::DriverNotStarted => write!(
                f,
                "partitions were assigned, but the driver is not running: spawn it, as in `tokio::spawn(driver)`"
            ),
            Self::LastCommit(error) => write!(
                f,
                "what was settled last could not be committed and will be handed out again: {error}"
            ),
        }
    }
}

/// What to do about an error after which librdkafka does not recover.
fn advice(error: &KafkaError) -> Option<&'static str> {
    Some(match error.rdkafka_error_code()? {
        RDKafkaErrorCode::FencedInstanceId => {
            "another consumer of the group has the same group.instance.id: give each its own; or this one was away for longer \
             than its session: start it again"
        }
        RDKafkaErrorCode::UnreleasedInstanceId => {
            "the broker takes another process with this group.instance.id for alive: start this one again when the session \
             of that one has expired, or give each its own"
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            "allow this user to read the group (group.id)"
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => "allow this user to read the topic",
        RDKafkaErrorCode::ClusterAuthorizationFailed => "allow this user to use the cluster",
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            "check the user and the password, or the certificates (sasl.* and ssl.*)"
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "the other consumers of the group use another partition.assignment.strategy"
        }
        RDKafkaErrorCode::NotImplemented => {
            "messages may be compressed in a way that this build of librdkafka does not know: add `rdkafka` to your own \
             dependencies, with the feature `zstd`"
        }
        RDKafkaErrorCode::UnsupportedVersion | RDKafkaErrorCode::UnsupportedFeature => {
            "the broker is too old for a setting, such as group.protocol"
        }
        _ => return None,
    })
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Client(error) | Self::Fatal(error) => Some(error),
            Self::LastCommit(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Whether the consumer cannot recover from the error by itself.
pub(super) fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code().is_some_and(is_refusal)
}

/// Whether the broker will go on refusing until somebody changes something.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::InconsistentGroupProtocol
            | RDKafkaErrorCode::NotImplemented
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::UnsupportedFeature
    )
}

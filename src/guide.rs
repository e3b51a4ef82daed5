//! The pages of the guide, each on one question. [The first page](crate) comes before them.

#[doc(alias = "barrier")]
#[doc(alias = "cancel")]
#[doc(alias = "cdc")]
#[doc(alias = "circuit_breaker")]
#[doc(alias = "coalesce")]
#[doc(alias = "dead_letter")]
#[doc(alias = "debounce")]
#[doc(alias = "dlq")]
#[doc(alias = "limit")]
#[doc(alias = "merge")]
#[doc(alias = "pause")]
#[doc(alias = "poison")]
#[doc(alias = "priority")]
#[doc(alias = "quota")]
#[doc(alias = "tenant")]
#[doc(alias = "throttle")]
#[doc(alias = "timeout")]
#[doc(alias = "tower")]
#[doc = include_str!("guide/recipes.md")]
pub mod recipes {}

#[doc(alias = "batch")]
#[doc(alias = "checkpoint")]
#[doc(alias = "commit")]
#[doc(alias = "filter")]
#[doc(alias = "flat_map")]
#[doc(alias = "group_commit")]
#[doc(alias = "kafka")]
#[doc(alias = "kinesis")]
#[doc(alias = "rebalance")]
#[doc = include_str!("guide/offsets.md")]
pub mod offsets {}

#[doc(alias = "batch")]
#[doc(alias = "bulk")]
#[doc(alias = "coalesce")]
#[doc(alias = "conflate")]
#[doc(alias = "group_commit")]
#[doc(alias = "insert")]
#[doc = include_str!("guide/batches.md")]
pub mod batches {}

#[doc(alias = "at_least_once")]
#[doc(alias = "at_most_once")]
#[doc(alias = "crash")]
#[doc(alias = "exactly_once")]
#[doc(alias = "idempotent")]
#[doc = include_str!("guide/delivery.md")]
pub mod delivery {}

#[doc(alias = "checkpoint")]
#[doc(alias = "commit")]
#[doc(alias = "exactly_once")]
#[doc(alias = "fence")]
#[doc(alias = "fluvio")]
#[doc(alias = "hand_over")]
#[doc(alias = "kafka")]
#[doc(alias = "kinesis")]
#[doc(alias = "outbox")]
#[doc(alias = "rebalance")]
#[doc(alias = "revoke")]
#[doc = include_str!("guide/positions.md")]
pub mod positions {}

#[doc(alias = "alpakka")]
#[doc(alias = "consumer_group")]
#[doc(alias = "parallel_consumer")]
#[doc(alias = "rdkafka")]
#[doc(alias = "rebalance")]
#[doc(alias = "rskafka")]
#[doc(alias = "zio_kafka")]
#[doc = include_str!("guide/kafka.md")]
pub mod kafka {}

#[doc(alias = "priority")]
#[doc(alias = "watermark")]
#[doc = include_str!("guide/order_of_results.md")]
pub mod order_of_results {}

#[doc(alias = "ack")]
#[doc(alias = "jetstream")]
#[doc(alias = "lease")]
#[doc(alias = "mqtt")]
#[doc(alias = "nack")]
#[doc(alias = "nats")]
#[doc(alias = "postgres")]
#[doc(alias = "pulsar")]
#[doc(alias = "rabbitmq")]
#[doc(alias = "redis")]
#[doc(alias = "sqs")]
#[doc(alias = "visibility_timeout")]
#[doc = include_str!("guide/acknowledgements.md")]
pub mod acknowledgements {}

#[doc(alias = "lock")]
#[doc(alias = "rwlock")]
#[doc(alias = "transaction")]
#[doc = include_str!("guide/several_keys.md")]
pub mod several_keys {}

#[doc(alias = "hash")]
#[doc(alias = "none")]
#[doc(alias = "null_key")]
#[doc = include_str!("guide/keys.md")]
pub mod keys {}

#[doc(alias = "backpressure")]
#[doc(alias = "buffer")]
#[doc(alias = "concurrency")]
#[doc(alias = "memory")]
#[doc = include_str!("guide/sizing.md")]
pub mod sizing {}

#[doc(alias = "backpressure")]
#[doc(alias = "deadlock")]
#[doc(alias = "hang")]
#[doc(alias = "max_poll_interval")]
#[doc(alias = "starvation")]
#[doc = include_str!("guide/stalls.md")]
pub mod stalls {}

#[doc(alias = "cancel_safety")]
#[doc(alias = "catch_unwind")]
#[doc(alias = "error")]
#[doc(alias = "poison")]
#[doc = include_str!("guide/failures.md")]
pub mod failures {}

#[doc(alias = "attempts")]
#[doc(alias = "backoff")]
#[doc(alias = "backon")]
#[doc(alias = "circuit_breaker")]
#[doc(alias = "dead_letter")]
#[doc(alias = "dlq")]
#[doc(alias = "rate_limit")]
#[doc(alias = "timeout")]
#[doc = include_str!("guide/retry.md")]
pub mod retry {}

#[doc(alias = "ctrl_c")]
#[doc(alias = "deadline")]
#[doc(alias = "drain")]
#[doc(alias = "graceful")]
#[doc(alias = "sigterm")]
#[doc(alias = "stop")]
#[doc = include_str!("guide/shutdown.md")]
pub mod shutdown {}

#[doc(alias = "consistent_hashing")]
#[doc(alias = "rebalance")]
#[doc(alias = "scale")]
#[doc(alias = "shard")]
#[doc = include_str!("guide/many_queues.md")]
pub mod many_queues {}

#[doc(alias = "runtime")]
#[doc(alias = "spawn")]
#[doc(alias = "spawn_blocking")]
#[doc = include_str!("guide/in_tokio.md")]
pub mod in_tokio {}

#[doc(alias = "box")]
#[doc(alias = "dyn")]
#[doc(alias = "field")]
#[doc(alias = "generic")]
#[doc(alias = "impl_trait")]
#[doc(alias = "return")]
#[doc(alias = "struct")]
#[doc = include_str!("guide/handing_on.md")]
pub mod handing_on {}

#[doc(alias = "FnMut")]
#[doc(alias = "async_closure")]
#[doc(alias = "compile_error")]
#[doc(alias = "lifetime")]
#[doc = include_str!("guide/closures.md")]
pub mod closures {}

#[doc(alias = "observability")]
#[doc(alias = "opentelemetry")]
#[doc(alias = "span")]
#[doc(alias = "tracing")]
#[doc = include_str!("guide/logs.md")]
pub mod logs {}

#[doc(alias = "alarm")]
#[doc(alias = "gauge")]
#[doc(alias = "lag")]
#[doc(alias = "liveness")]
#[doc(alias = "observability")]
#[doc(alias = "opentelemetry")]
#[doc(alias = "progress")]
#[doc(alias = "prometheus")]
#[doc(alias = "watchdog")]
#[doc = include_str!("guide/metrics.md")]
pub mod metrics {}

#[doc(alias = "mock")]
#[doc(alias = "start_paused")]
#[doc(alias = "test")]
#[doc(alias = "virtual_time")]
#[doc = include_str!("guide/testing.md")]
pub mod testing {}

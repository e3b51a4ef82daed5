import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * One measured run: handles each record of a topic once, in the order of its key, and prints the line of figures that the
 * other contenders print.
 *
 * <p>Arguments: brokers, group, topic, how many records it holds, how many are handled at once, and the cost of a handler.
 */
final class ParallelConsumerSpeed {
    private static final long WITHIN_SECONDS = 300;

    private ParallelConsumerSpeed() {}

    public static void main(String[] arguments) throws Exception {
        String topic = arguments[2];
        long count = Long.parseLong(arguments[3]);
        Cost cost = Cost.of(arguments[5]);
        KafkaConsumer<String, byte[]> consumer = consumer(arguments[0], arguments[1]);
        Checks checks = new Checks(ends(consumer, topic), count);
        // Of the other options, each has its default.
        var options = ParallelConsumerOptions.<String, byte[]>builder()
                .consumer(consumer)
                .ordering(ProcessingOrder.KEY)
                .maxConcurrency(Integer.parseInt(arguments[4]))
                .build();
        var processor = ParallelStreamProcessor.createEosStreamProcessor(options);

        long cpuAtStart = cpuNanos();
        long start = System.nanoTime();
        processor.subscribe(List.of(topic));
        processor.poll(context -> handle(context.getSingleConsumerRecord(), checks, cost));
        boolean isDone = checks.awaitLast(WITHIN_SECONDS, TimeUnit.SECONDS);
        double seconds = (checks.lastEnd() - start) / 1e9;
        processor.closeDrainFirst();
        double cpuSeconds = (cpuNanos() - cpuAtStart) / 1e9;

        if (!isDone || !checks.areKept()) {
            System.err.println(checks);
            System.exit(1);
        }
        System.out.printf(
                Locale.ROOT, "figures %f %f %f %f%n", seconds, cpuSeconds, peakMib(), checks.meanInHandlerMicros());
        System.exit(0);
    }

    private static void handle(ConsumerRecord<String, byte[]> record, Checks checks, Cost cost) {
        long began = checks.begin(record.partition(), record.offset(), record.key(), record.value());
        cost.pay(record.partition(), record.offset());
        checks.end(record.key(), began);
    }

    private static KafkaConsumer<String, byte[]> consumer(String brokers, String group) {
        Properties config = new Properties();
        config.put("bootstrap.servers", brokers);
        config.put("group.id", group);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(config, new StringDeserializer(), new ByteArrayDeserializer());
    }

    /** How many records each partition holds. */
    private static Map<Integer, Long> ends(KafkaConsumer<?, ?> consumer, String topic) {
        List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(partition -> new TopicPartition(topic, partition.partition()))
                .toList();
        Map<Integer, Long> ends = new HashMap<>();
        consumer.endOffsets(partitions).forEach((partition, end) -> ends.put(partition.partition(), end));
        return ends;
    }

    private static long cpuNanos() {
        var system = ManagementFactory.getPlatformMXBean(com.sun.management.OperatingSystemMXBean.class);
        return system.getProcessCpuTime();
    }

    /** The most memory that was resident. */
    private static double peakMib() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
            }
        }
        throw new IOException("no VmHWM");
    }
}

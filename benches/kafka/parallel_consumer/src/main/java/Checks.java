import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/** What the handlers of a run saw: the checks of the other contenders, for handlers on many threads. */
final class Checks {
    private static final class Key {
        /** One more than the highest sequence number that was handled. */
        long next;

        int running;
    }

    private final long count;
    private final Map<String, Key> keys = new ConcurrentHashMap<>();
    /** How often each offset was handled, by partition. */
    private final Map<Integer, AtomicIntegerArray> seen = new HashMap<>();

    private final AtomicLong handled = new AtomicLong();
    private final LongAdder late = new LongAdder();
    private final LongAdder overlaps = new LongAdder();
    private final LongAdder duplicates = new LongAdder();
    private final LongAdder nanosInHandlers = new LongAdder();
    private final CountDownLatch last = new CountDownLatch(1);
    private volatile long lastEnd = System.nanoTime();

    /** Of partitions with so many records each, and so many together. */
    Checks(Map<Integer, Long> ends, long count) {
        this.count = count;
        ends.forEach((partition, end) -> seen.put(partition, new AtomicIntegerArray(end.intValue())));
    }

    /** A handler begins. Returns when that was. */
    long begin(int partition, long offset, String key, byte[] payload) {
        long now = System.nanoTime();
        boolean isFirst = seen.get(partition).getAndIncrement((int) offset) == 0;
        if (!isFirst) {
            duplicates.increment();
        }
        long sequence = sequence(payload);
        Key ofKey = keys.computeIfAbsent(key, absent -> new Key());
        synchronized (ofKey) {
            if (ofKey.running > 0) {
                overlaps.increment();
            }
            if (isFirst && sequence < ofKey.next) {
                late.increment();
            }
            ofKey.next = Math.max(ofKey.next, sequence + 1);
            ofKey.running++;
        }
        return now;
    }

    /** A handler ends. */
    void end(String key, long began) {
        Key ofKey = keys.get(key);
        synchronized (ofKey) {
            ofKey.running--;
        }
        long now = System.nanoTime();
        nanosInHandlers.add(now - began);
        if (handled.incrementAndGet() == count) {
            lastEnd = now;
            last.countDown();
        }
    }

    boolean awaitLast(long time, TimeUnit unit) throws InterruptedException {
        return last.await(time, unit);
    }

    /** When the last handler ended. */
    long lastEnd() {
        return lastEnd;
    }

    /** Whether each record was handled once, in the order of its key, and one of a key at a time. */
    boolean areKept() {
        return handled.get() == count && late.sum() == 0 && overlaps.sum() == 0 && duplicates.sum() == 0;
    }

    double meanInHandlerMicros() {
        return nanosInHandlers.sum() / 1e3 / Math.max(handled.get(), 1);
    }

    @Override
    public String toString() {
        return String.format(
                "handled %d of %d, late %d, overlaps %d, duplicates %d",
                handled.get(), count, late.sum(), overlaps.sum(), duplicates.sum());
    }

    /** The number at the beginning of a payload: how many records of the key came before it. */
    private static long sequence(byte[] payload) {
        long sum = 0;
        for (int at = 0; at < payload.length && payload[at] >= '0' && payload[at] <= '9'; at++) {
            sum = sum * 10 + (payload[at] - '0');
        }
        return sum;
    }
}

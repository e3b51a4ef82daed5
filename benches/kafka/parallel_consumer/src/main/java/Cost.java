import java.util.concurrent.locks.LockSupport;

/** How long a handler waits: as long as in the other contenders. */
record Cost(boolean isRandom, long nanos) {
    private static final double MOST_NANOS = 5e6;

    /** {@code random}, or a number of nanoseconds. */
    static Cost of(String text) {
        return text.equals("random") ? new Cost(true, 0) : new Cost(false, Long.parseLong(text));
    }

    void pay(int partition, long offset) {
        long wait = isRandom ? (long) (MOST_NANOS * share((long) partition << 40 | offset)) : nanos;
        long until = System.nanoTime() + wait;
        // A thread may be unparked early.
        for (long left = wait; left > 0; left = until - System.nanoTime()) {
            LockSupport.parkNanos(left);
        }
    }

    private static double share(long number) {
        return (scrambled(number) >>> 11) * 0x1.0p-53;
    }

    /** Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014). */
    private static long scrambled(long number) {
        long z = number + 0x9e37_79b9_7f4a_7c15L;
        z = (z ^ (z >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d0_49bb_1331_11ebL;
        return z ^ (z >>> 31);
    }
}

package klab.oracle;

/** Numbers that anybody can make again: Knuth's 64-bit linear congruential generator, its upper bits. */
public final class Draws {
    private long state;

    public Draws(long seed) {
        state = seed;
    }

    public int below(int bound) {
        state = state * 6364136223846793005L + 1442695040888963407L;
        return (int) ((state >>> 33) % bound);
    }
}

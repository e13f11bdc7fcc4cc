package klab.oracle;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

/** Where keyed records go. Key i is made of draws with seed i: its length below 67, then its bytes. */
final class Keys {
    private static final int KEYS = 10_000;
    private static final int[] PARTITIONS = {2, 3, 6, 7, 12, 50, 1_000};
    private static final int ROW = 100;

    static ObjectNode vectors(ObjectMapper mapper) {
        byte[][] keys = new byte[KEYS][];
        for (int i = 0; i < KEYS; i++) {
            Draws draws = new Draws(i);
            keys[i] = new byte[draws.below(67)];
            for (int b = 0; b < keys[i].length; b++) {
                keys[i][b] = (byte) draws.below(256);
            }
        }
        ObjectNode all = mapper.createObjectNode();
        for (int partitions : PARTITIONS) {
            int digits = Integer.toString(partitions - 1, 36).length();
            ArrayNode rows = all.putArray(Integer.toString(partitions));
            for (int from = 0; from < KEYS; from += ROW) {
                StringBuilder row = new StringBuilder();
                for (int i = from; i < from + ROW; i++) {
                    String placed = Integer.toString(BuiltInPartitioner.partitionForKey(keys[i], partitions), 36);
                    row.append("0".repeat(digits - placed.length())).append(placed);
                }
                rows.add(row.toString());
            }
        }
        return all;
    }
}

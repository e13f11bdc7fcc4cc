package klab.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.kafka.clients.producer.internals.ProducerVectors;
import org.apache.kafka.common.utils.AppInfoParser;

/** Asks Apache Kafka one thing and writes what it answers, as JSON, into a file. */
public final class Main {
    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        String what = args[0];
        JsonNode answer = switch (what) {
            case "versions" -> mapper.createObjectNode()
                    .put("kafka", AppInfoParser.getVersion())
                    .put("java", System.getProperty("java.version"));
            case "keys" -> Keys.vectors(mapper);
            case "batches" -> ProducerVectors.batches(mapper);
            case "sticky" -> ProducerVectors.sticky(mapper);
            case "tables" -> Tables.vectors(mapper);
            case "healthy" -> new Answers(mapper, ports(args)).healthy();
            case "one-down" -> new Answers(mapper, ports(args)).oneDown();
            default -> throw new IllegalArgumentException(what);
        };
        Files.write(Path.of(args[1]), mapper.writeValueAsBytes(answer));
        System.exit(0);
    }

    private static int[] ports(String[] args) {
        int[] ports = new int[args.length - 2];
        for (int i = 0; i < ports.length; i++) {
            ports[i] = Integer.parseInt(args[i + 2]);
        }
        return ports;
    }
}

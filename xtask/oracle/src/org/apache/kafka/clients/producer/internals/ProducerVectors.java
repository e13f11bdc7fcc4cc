package org.apache.kafka.clients.producer.internals;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import klab.oracle.Draws;
import org.apache.kafka.clients.MetadataSnapshot;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.MetadataResponse.PartitionMetadata;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;

/** Which records share a batch, and to which partition those without a key stick. It lies in Kafka's package because only there chance can be injected. */
public final class ProducerVectors {
    private static final String TOPIC = "orders";
    private static final Node NODE = new Node(1, "localhost", 9092);

    /** A partitioner whose chance is a list; what was drawn is kept. */
    private static final class Drawn extends BuiltInPartitioner {
        final Draws draws;
        final List<Integer> drawn = new ArrayList<>();

        Drawn(int stickyBatchSize, long seed) {
            super(new LogContext(), TOPIC, stickyBatchSize);
            draws = new Draws(seed);
        }

        @Override
        int randomPartition() {
            int next = draws.below(Integer.MAX_VALUE);
            drawn.add(next);
            return next;
        }
    }

    private static Cluster cluster(int partitions) {
        List<PartitionInfo> all = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            all.add(new PartitionInfo(TOPIC, i, NODE, new Node[] {NODE}, new Node[] {NODE}));
        }
        return new Cluster("oracle", List.of(NODE), all, Set.of(), Set.of());
    }

    private static MetadataSnapshot snapshot(int partitions) {
        List<PartitionMetadata> all = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            all.add(new PartitionMetadata(Errors.NONE, new TopicPartition(TOPIC, i), Optional.of(1), Optional.of(0),
                    List.of(1), List.of(1), List.of()));
        }
        return new MetadataSnapshot("oracle", Map.of(1, NODE), all, Set.of(), Set.of(), Set.of(), NODE,
                Map.of(TOPIC, Uuid.randomUuid()));
    }

    /** What is appended: a step of [partition or -1, key length or -1, value length or -1, headers, timestamp]; an empty one lets the first batch of each partition leave. */
    private static final class Course {
        final int batchSize;
        final int partitions;
        final long seed;
        final List<long[]> steps = new ArrayList<>();

        Course(int batchSize, int partitions, long seed) {
            this.batchSize = batchSize;
            this.partitions = partitions;
            this.seed = seed;
        }

        Course append(int partition, int key, int value, int headers, long timestamp) {
            steps.add(new long[] {partition, key, value, headers, timestamp});
            return this;
        }

        Course leave() {
            steps.add(new long[0]);
            return this;
        }

        ObjectNode run(ObjectMapper mapper) throws Exception {
            Metrics metrics = new Metrics();
            BufferPool pool = new BufferPool(1L << 28, batchSize, metrics, Time.SYSTEM, "oracle");
            Drawn drawn = new Drawn(Math.max(1, batchSize), seed);
            RecordAccumulator accumulator = new RecordAccumulator(new LogContext(), batchSize, Compression.NONE, 0, 100L,
                    1000L, 120_000, metrics, "oracle", Time.SYSTEM, null, pool) {
                @Override
                BuiltInPartitioner createBuiltInPartitioner(LogContext context, String topic, int stickyBatchSize) {
                    return drawn;
                }
            };
            Cluster cluster = cluster(partitions);
            ObjectNode out = mapper.createObjectNode();
            out.put("batch.size", batchSize).put("partitions", partitions);
            ArrayNode stepsOut = out.putArray("steps");
            ArrayNode results = out.putArray("results");
            int[] chosen = new int[1];
            // At the end all that waits leaves.
            for (int at = 0; at < steps.size() || leaveIfAnyWaits(accumulator); at++) {
                long[] step = steps.get(at);
                ArrayNode stepOut = stepsOut.addArray();
                for (long part : step) {
                    stepOut.add(part);
                }
                ArrayNode result = results.addArray();
                if (step.length == 0) {
                    left(accumulator, result);
                    continue;
                }
                RecordAccumulator.AppendCallbacks callbacks = new RecordAccumulator.AppendCallbacks() {
                    @Override
                    public void setPartition(int partition) {
                        chosen[0] = partition;
                    }

                    @Override
                    public void onCompletion(RecordMetadata metadata, Exception exception) {
                    }
                };
                Header[] headers = new Header[(int) step[3]];
                for (int i = 0; i < headers.length; i++) {
                    headers[i] = new RecordHeader("h" + i, new byte[i]);
                }
                int partition = step[0] < 0 ? RecordMetadata.UNKNOWN_PARTITION : (int) step[0];
                RecordAccumulator.RecordAppendResult appended = accumulator.append(TOPIC, partition, step[4], bytes(step[1]),
                        bytes(step[2]), headers, callbacks, 0L, 0L, cluster);
                result.add(chosen[0]).add(appended.appendedBytes).add(appended.batchIsFull ? 1 : 0)
                        .add(appended.newBatchCreated ? 1 : 0).add(drawn.drawn.size());
            }
            ArrayNode draws = out.putArray("draws");
            drawn.drawn.forEach(draws::add);
            return out;
        }

        private boolean leaveIfAnyWaits(RecordAccumulator accumulator) {
            if (!accumulator.hasUndrained()) {
                return false;
            }
            leave();
            return true;
        }

        /** Of each batch that leaves: its partition, its records, its estimated and its final size. */
        private void left(RecordAccumulator accumulator, ArrayNode result) {
            Map<Integer, Integer> estimated = new HashMap<>();
            for (int i = 0; i < partitions; i++) {
                Deque<ProducerBatch> waiting = accumulator.getDeque(new TopicPartition(TOPIC, i));
                if (waiting != null && !waiting.isEmpty()) {
                    estimated.put(i, waiting.peekFirst().estimatedSizeInBytes());
                }
            }
            List<ProducerBatch> batches = new ArrayList<>(accumulator
                    .drain(snapshot(partitions), Set.of(NODE), Integer.MAX_VALUE, 0L).getOrDefault(1, List.of()));
            batches.sort((a, b) -> a.topicPartition.partition() - b.topicPartition.partition());
            for (ProducerBatch batch : batches) {
                int partition = batch.topicPartition.partition();
                result.addArray().add(partition).add(batch.recordCount).add(estimated.get(partition))
                        .add(batch.records().sizeInBytes());
            }
        }
    }

    private static byte[] bytes(long length) {
        return length < 0 ? null : new byte[(int) length];
    }

    /** Batches of one partition, appended to by name; at the end all leave. */
    public static ArrayNode batches(ObjectMapper mapper) throws Exception {
        List<Course> courses = new ArrayList<>();
        // Full to the byte, one less and one more: a record of 10 bytes takes 17, of 68 bytes 75.
        courses.add(same(78, 10, 6));
        courses.add(same(77, 10, 6));
        courses.add(same(79, 10, 6));
        courses.add(same(1, 10, 6));
        courses.add(same(0, 10, 4));
        courses.add(same(500, 1_000, 5));
        courses.add(same(200, 68, 9));
        // Sizes at which a varint grows.
        for (int batchSize : new int[] {256, 1_000, 16_384}) {
            Course course = new Course(batchSize, 1, 0);
            int[] sizes = {0, 1, 54, 55, 56, 57, 58, 61, 62, 63, 64, 65, 118, 119, 120, 121, 126, 127, 128, 8_180, 8_181, 8_182,
                8_183, 8_190, 8_191, 8_192, 8_193, 16_300, 16_384};
            for (int size : sizes) {
                course.append(0, -1, size, 0, 1_000);
            }
            courses.add(course);
        }
        // Keys, headers, nulls, times that go forth and back.
        for (int batchSize : new int[] {100, 300, 1_024, 4_096, 16_384}) {
            Course course = new Course(batchSize, 1, 0);
            Draws draws = new Draws(batchSize);
            for (int i = 0; i < 60; i++) {
                int key = draws.below(3) == 0 ? -1 : draws.below(40);
                int value = draws.below(12) == 0 ? -1 : draws.below(batchSize / 3);
                int headers = draws.below(4) == 0 ? draws.below(4) : 0;
                course.append(0, key, value, headers, 1_000_000 + draws.below(200_000) - 100_000);
            }
            courses.add(course);
        }
        // More than 64 and more than 8192 records: the offset delta takes more bytes.
        courses.add(same(16_384, 0, 300));
        // What leaves in between leaves half full.
        Course course = new Course(1_000, 1, 0);
        Draws draws = new Draws(9);
        for (int i = 0; i < 60; i++) {
            course.append(0, -1, draws.below(250), 0, 1_000 + i);
            if (draws.below(9) == 0) {
                course.leave();
            }
        }
        courses.add(course);
        return run(mapper, courses);
    }

    private static Course same(int batchSize, int value, int records) {
        Course course = new Course(batchSize, 1, 0);
        for (int i = 0; i < records; i++) {
            course.append(0, -1, value, 0, 1_000);
        }
        return course;
    }

    private static ArrayNode run(ObjectMapper mapper, List<Course> courses) throws Exception {
        ArrayNode out = mapper.createArrayNode();
        for (Course course : courses) {
            out.add(course.run(mapper));
        }
        return out;
    }

    /** Records without a key among several partitions; and draws weighed by the lengths of queues. */
    public static ObjectNode sticky(ObjectMapper mapper) throws Exception {
        ObjectNode out = mapper.createObjectNode();
        List<Course> courses = new ArrayList<>();
        int[][] settings = {{16_384, 3, 2_000}, {16_384, 7, 4_000}, {1_000, 3, 300}, {1_000, 5, 900}, {1_000, 2, 1_500}, {1, 4, 20},
            {200, 12, 139}};
        for (int[] setting : settings) {
            // Nothing leaves; all leaves at times; others go to partitions by name.
            for (int way = 0; way < 3; way++) {
                Course course = new Course(setting[0], setting[1], setting[0] + way);
                Draws draws = new Draws(setting[2] + way);
                for (int i = 0; i < 80; i++) {
                    boolean named = way == 2 && draws.below(3) == 0;
                    int partition = named ? draws.below(setting[1]) : -1;
                    course.append(partition, named ? 8 : -1, draws.below(setting[2] + 1), 0, 1_000 + i);
                    if (way > 0 && draws.below(6) == 0) {
                        course.leave();
                    }
                }
                courses.add(course);
            }
        }
        out.set("courses", run(mapper, courses));
        ArrayNode weighed = out.putArray("weighed");
        int[][] queues = {{0, 3, 1}, {5, 5, 5}, {1, 0}, {0, 0, 0, 9}, {2, 7, 1, 8, 2, 8}, {4}, {1, 1, 2, 3, 5, 8, 13, 21}, {100, 0, 1}};
        for (int[] lengths : queues) {
            for (int leftOut = 0; leftOut < Math.min(3, lengths.length); leftOut++) {
                weighed.add(weigh(mapper, lengths, lengths.length - leftOut));
            }
        }
        return out;
    }

    /** Of partitions that have queues so long, those behind `length` left out, which are drawn. */
    private static ObjectNode weigh(ObjectMapper mapper, int[] lengths, int length) {
        Cluster cluster = cluster(lengths.length);
        Drawn partitioner = new Drawn(1, lengths.length * 31L + length);
        int[] ids = new int[lengths.length];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = i;
        }
        partitioner.updatePartitionLoadStats(lengths.clone(), ids, length);
        int range;
        try {
            range = partitioner.loadStatsRangeEnd();
        } catch (NullPointerException | AssertionError e) {
            range = lengths.length;
        }
        ObjectNode out = mapper.createObjectNode();
        ArrayNode queues = out.putArray("queues");
        for (int queue : lengths) {
            queues.add(queue);
        }
        out.put("counted", length).put("range", range);
        ArrayNode partitions = out.putArray("partitions");
        BuiltInPartitioner.StickyPartitionInfo info = partitioner.peekCurrentPartitionInfo(cluster);
        for (int i = 0; i < 40; i++) {
            partitions.add(info.partition());
            partitioner.updatePartitionInfo(info, 1, cluster);
            info = partitioner.peekCurrentPartitionInfo(cluster);
        }
        ArrayNode draws = out.putArray("draws");
        partitioner.drawn.subList(0, 40).forEach(draws::add);
        return out;
    }

    private ProducerVectors() {
    }
}

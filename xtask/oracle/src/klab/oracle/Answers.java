package klab.oracle;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.message.CreatePartitionsRequestData;
import org.apache.kafka.common.message.CreateTopicsRequestData;
import org.apache.kafka.common.message.DeleteRecordsRequestData;
import org.apache.kafka.common.message.DeleteTopicsRequestData;
import org.apache.kafka.common.message.DescribeConfigsRequestData;
import org.apache.kafka.common.message.DescribeConfigsResponseData;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.IncrementalAlterConfigsRequestData;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.ListOffsetsResponseData;
import org.apache.kafka.common.message.MetadataResponseData;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData;
import org.apache.kafka.common.message.OffsetForLeaderEpochResponseData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.SimpleRecord;
import org.apache.kafka.common.requests.CreatePartitionsRequest;
import org.apache.kafka.common.requests.CreatePartitionsResponse;
import org.apache.kafka.common.requests.CreateTopicsRequest;
import org.apache.kafka.common.requests.CreateTopicsResponse;
import org.apache.kafka.common.requests.DeleteRecordsRequest;
import org.apache.kafka.common.requests.DeleteRecordsResponse;
import org.apache.kafka.common.requests.DeleteTopicsRequest;
import org.apache.kafka.common.requests.DeleteTopicsResponse;
import org.apache.kafka.common.requests.DescribeConfigsRequest;
import org.apache.kafka.common.requests.DescribeConfigsResponse;
import org.apache.kafka.common.requests.FetchRequest;
import org.apache.kafka.common.requests.FetchResponse;
import org.apache.kafka.common.requests.IncrementalAlterConfigsRequest;
import org.apache.kafka.common.requests.IncrementalAlterConfigsResponse;
import org.apache.kafka.common.requests.ListOffsetsRequest;
import org.apache.kafka.common.requests.ListOffsetsResponse;
import org.apache.kafka.common.requests.MetadataRequest;
import org.apache.kafka.common.requests.MetadataResponse;
import org.apache.kafka.common.requests.OffsetsForLeaderEpochRequest;
import org.apache.kafka.common.requests.OffsetsForLeaderEpochResponse;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.TopicCommand;

/**
 * What three brokers answer to operators and clients: first while all run, then after the third was killed. Node 1 is the
 * controller too, so that it stays. Sentences of errors are left out: their names are what clients go by.
 */
final class Answers {
    private static final class ToolIsDone extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    private final ObjectMapper mapper;
    private final int[] ports;
    private final ObjectNode out;

    Answers(ObjectMapper mapper, int[] ports) {
        this.mapper = mapper;
        this.ports = ports;
        out = mapper.createObjectNode();
    }

    ObjectNode healthy() throws Exception {
        waitForBrokers(3);
        ArrayNode create = out.putArray("create a topic");
        create.add(create("four", 1, (short) 4, Map.of(), false));
        create.add(create("four", 1, (short) 4, Map.of(), true));
        create.add(createAt("orders", List.of(List.of(2, 3, 1)), Map.of("max.message.bytes", "1000")));
        create.add(createAt("orders", List.of(List.of(2, 3, 1)), Map.of()));
        create.add(create("orders", 1, (short) 9, Map.of(), true));
        create.add(createAt("alone", List.of(List.of(3), List.of(1)), Map.of()));
        create.add(createAt("strict", List.of(List.of(2, 3, 1)), Map.of("min.insync.replicas", "3")));
        create.add(createAt("times", List.of(List.of(2)), Map.of()));
        create.add(create("none", 0, (short) 1, Map.of(), false));
        create.add(create("none", 1, (short) 0, Map.of(), false));
        create.add(create("with space", 1, (short) 1, Map.of(), false));
        create.add(create("none", 1, (short) 1, Map.of("no.such.key", "1"), false));
        create.add(create("none", 1, (short) 1, Map.of("retention.ms", "soon"), false));
        create.add(createAt("none", List.of(List.of(2, 2)), Map.of()));
        create.add(createAt("none", List.of(List.of(2, 9)), Map.of()));
        create.add(createAt("none", List.of(List.of(2, 3), List.of(1)), Map.of()));
        create.add(create("lavish", 2, (short) 1, Map.of(), true));

        waitForLeaders("orders", "strict", "alone", "times");
        out.set("describe: all are up", describe());
        out.set("metadata: all are up", metadata("orders", "strict", "alone", "nobody"));

        ArrayNode produce = out.putArray("produce");
        produce.add(produce("orders", 0, (short) 1, batch(900)));
        produce.add(produce("orders", 0, (short) 1, batch(1_000)));
        produce.add(produce("orders", 0, (short) -1, batch(1_001)));
        produce.add(produce("orders", 0, (short) 1, batch(2_000)));
        produce.add(produce("orders", 0, (short) 2, batch(100)));
        produce.add(produce("orders", 1, (short) 1, batch(100)));
        produce.add(produceTo("orders", 0, (short) 1, batch(100), 1));

        // Batches of several records, some out of order.
        long[][] batches = {{1_000, 2_000, 3_000}, {5_000, 4_000, 6_000}, {6_000, 6_000}, {2_500}};
        ArrayNode times = out.putArray("produce with times");
        for (long[] stamps : batches) {
            SimpleRecord[] records = new SimpleRecord[stamps.length];
            for (int i = 0; i < stamps.length; i++) {
                records[i] = new SimpleRecord(stamps[i], "k".getBytes(StandardCharsets.UTF_8), new byte[10]);
            }
            times.add(produce("times", 0, (short) -1, MemoryRecords.withRecords(Compression.NONE, records)));
        }
        waitForHw("times", 9);
        ObjectNode offsets = out.putObject("list offsets");
        for (long at : new long[] {-1, -2, -3, 0, 1_000, 1_001, 2_500, 3_000, 3_001, 4_000, 4_500, 5_001, 6_000, 6_001}) {
            offsets.set(Long.toString(at), listOffsets("times", 0, at, -1, 2));
        }
        out.set("list offsets of a follower", listOffsets("times", 0, -1, -1, 1));
        out.set("list offsets of a later epoch", listOffsets("times", 0, -1, 7, 2));
        ObjectNode epochs = out.putObject("end of epoch");
        for (int epoch : new int[] {0, 1, 5}) {
            epochs.set(Integer.toString(epoch), epochEnd("times", 0, epoch, -1));
        }
        epochs.set("0, asked with a later epoch", epochEnd("times", 0, 0, 7));

        ObjectNode fetch = out.putObject("fetch");
        for (long from : new long[] {0, 3, 4, 8, 9, 10, 100, -1}) {
            fetch.set(Long.toString(from), fetch("times", 0, from, -1, 2));
        }
        fetch.set("0, of a later epoch", fetch("times", 0, 0, 7, 2));
        fetch.set("0, of a follower", fetch("times", 0, 0, -1, 3));
        fetch.set("0, of a partition that is not", fetch("times", 5, 0, -1, 2));
        ArrayNode given = out.putArray("delete records");
        given.add(deleteRecords("times", 0, 4, 2));
        given.add(deleteRecords("times", 0, 2, 2));
        given.add(deleteRecords("times", 0, 10, 2));
        ObjectNode after = out.putObject("fetch, records deleted");
        for (long from : new long[] {0, 3, 4, 5}) {
            after.set(Long.toString(from), fetch("times", 0, from, -1, 2));
        }
        ObjectNode later = out.putObject("list offsets, records deleted");
        for (long at : new long[] {-1, -2, -3, 0, 2_500, 5_000}) {
            later.set(Long.toString(at), listOffsets("times", 0, at, -1, 2));
        }

        ArrayNode grown = out.putArray("add partitions");
        grown.add(addPartitions("times", 1));
        grown.add(addPartitions("nobody", 2));

        ConfigResource orders = new ConfigResource(ConfigResource.Type.TOPIC, "orders");
        ConfigResource two = new ConfigResource(ConfigResource.Type.BROKER, "2");
        ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
        ArrayNode alter = out.putArray("alter a config");
        alter.add(alter(orders, "retention.ms", "60000", 2));
        alter.add(alter(orders, "max.message.bytes", null, 2));
        alter.add(alter(orders, "no.such.key", "1", 2));
        alter.add(alter(orders, "cleanup.policy", "burn", 2));
        alter.add(alter(two, "message.max.bytes", "70000", 2));
        alter.add(alter(two, "broker.session.timeout.ms", "1000", 2));
        alter.add(alter(two, "message.max.bytes", "70000", 1));
        alter.add(alter(all, "message.max.bytes", "60000", 2));
        alter.add(alter(all, "log.roll.ms", "3600000", 2));
        alter.add(alter(new ConfigResource(ConfigResource.Type.TOPIC, "nobody"), "retention.ms", "1", 2));
        waitForConfig(orders, "max.message.bytes", "70000", "segment.ms", "3600000");
        ObjectNode configs = out.putObject("describe configs");
        configs.set("topic orders", configs(orders, 2));
        configs.set("broker 2", configs(two, 2));
        configs.set("all brokers", configs(all, 2));
        configs.set("broker 2, asked of another", configs(two, 1));
        configs.set("topic nobody", configs(new ConfigResource(ConfigResource.Type.TOPIC, "nobody"), 2));
        // The tool asks any broker, so that all must say the same.
        alter.add(alter(two, "message.max.bytes", null, 2));
        waitForConfig(orders, "max.message.bytes", "60000");
        out.set("describe: configs are altered", describe());

        ArrayNode delete = out.putArray("delete");
        createAt("doomed", List.of(List.of(1)), Map.of());
        waitForLeaders("doomed");
        delete.add(delete("doomed"));
        waitForNone("doomed");
        delete.add(delete("doomed"));
        delete.add(delete("nobody"));
        out.set("metadata: deleted", metadata("doomed"));
        out.set("describe: deleted", describe());
        return out;
    }

    ObjectNode oneDown() throws Exception {
        long until = System.currentTimeMillis() + 60_000;
        while (isr("orders") != 2 || isr("strict") != 2 || leader("alone") != -1) {
            pause(until, "broker 3 to be fenced");
        }
        out.set("describe: one is down", describe());
        out.set("metadata: one is down", metadata("orders", "strict", "alone", "times"));
        ArrayNode produce = out.putArray("produce, one is down");
        produce.add(produce("strict", 0, (short) -1, batch(100)));
        produce.add(produce("strict", 0, (short) -1, batch(5_000_000)));
        produce.add(produce("strict", 0, (short) 1, batch(100)));
        ArrayNode create = out.putArray("create a topic, one is down");
        create.add(create("three", 1, (short) 3, Map.of(), true));
        create.add(create("four", 1, (short) 4, Map.of(), true));
        ArrayNode delete = out.putArray("delete, one is down");
        delete.add(delete("alone"));
        waitForNone("alone");
        out.set("describe: one is down, one is deleted", describe());
        return out;
    }

    private ObjectNode error(short code) {
        return mapper.createObjectNode().put("error", Errors.forCode(code).name());
    }

    private Wire wire(int broker) throws Exception {
        return new Wire(ports[broker - 1]);
    }

    private ObjectNode create(String name, int partitions, short replicas, Map<String, String> config, boolean only) throws Exception {
        CreateTopicsRequestData.CreatableTopic topic = new CreateTopicsRequestData.CreatableTopic()
                .setName(name).setNumPartitions(partitions).setReplicationFactor(replicas);
        return create(topic, config, only);
    }

    private ObjectNode createAt(String name, List<List<Integer>> assignment, Map<String, String> config) throws Exception {
        CreateTopicsRequestData.CreatableTopic topic = new CreateTopicsRequestData.CreatableTopic()
                .setName(name).setNumPartitions(-1).setReplicationFactor((short) -1);
        for (int i = 0; i < assignment.size(); i++) {
            topic.assignments().add(new CreateTopicsRequestData.CreatableReplicaAssignment()
                    .setPartitionIndex(i).setBrokerIds(assignment.get(i)));
        }
        return create(topic, config, false);
    }

    private ObjectNode create(CreateTopicsRequestData.CreatableTopic topic, Map<String, String> config, boolean only) throws Exception {
        config.forEach((key, value) -> topic.configs().add(
                new CreateTopicsRequestData.CreatableTopicConfig().setName(key).setValue(value)));
        CreateTopicsRequestData data = new CreateTopicsRequestData().setTimeoutMs(30_000).setValidateOnly(only);
        data.topics().add(topic);
        try (Wire wire = wire(1)) {
            CreateTopicsResponse answer = wire.ask(new CreateTopicsRequest.Builder(data));
            return error(answer.data().topics().iterator().next().errorCode());
        }
    }

    private ObjectNode addPartitions(String topic, int count) throws Exception {
        CreatePartitionsRequestData data = new CreatePartitionsRequestData().setTimeoutMs(30_000);
        data.topics().add(new CreatePartitionsRequestData.CreatePartitionsTopic().setName(topic).setCount(count).setAssignments(null));
        try (Wire wire = wire(1)) {
            CreatePartitionsResponse answer = wire.ask(new CreatePartitionsRequest.Builder(data));
            return error(answer.data().results().iterator().next().errorCode());
        }
    }

    private ObjectNode delete(String topic) throws Exception {
        DeleteTopicsRequestData data = new DeleteTopicsRequestData().setTimeoutMs(30_000);
        data.topics().add(new DeleteTopicsRequestData.DeleteTopicState().setName(topic));
        try (Wire wire = wire(1)) {
            DeleteTopicsResponse answer = wire.ask(new DeleteTopicsRequest.Builder(data));
            return error(answer.data().responses().iterator().next().errorCode());
        }
    }

    /** One record without a key, in a batch of exactly so many bytes. */
    private static MemoryRecords batch(int size) {
        int value = size - 61;
        while (true) {
            MemoryRecords records = MemoryRecords.withRecords(Compression.NONE, new SimpleRecord(1_000, null, new byte[value]));
            if (records.sizeInBytes() == size) {
                return records;
            }
            value -= 1;
        }
    }

    private ObjectNode produce(String topic, int partition, short acks, MemoryRecords records) throws Exception {
        return produceTo(topic, partition, acks, records, 2);
    }

    private ObjectNode produceTo(String topic, int partition, short acks, MemoryRecords records, int broker) throws Exception {
        ProduceRequestData data = new ProduceRequestData().setAcks(acks).setTimeoutMs(10_000);
        ProduceRequestData.TopicProduceData topicData = new ProduceRequestData.TopicProduceData().setTopicId(id(topic)).setName(topic);
        topicData.partitionData().add(new ProduceRequestData.PartitionProduceData().setIndex(partition).setRecords(records));
        data.topicData().add(topicData);
        try (Wire wire = wire(broker)) {
            ProduceResponse answer = wire.ask(ProduceRequest.builder(data));
            ProduceResponseData.PartitionProduceResponse one = answer.data().responses().iterator().next().partitionResponses().get(0);
            return error(one.errorCode()).put("base_offset", one.baseOffset()).put("log_append_time", one.logAppendTimeMs())
                    .put("log_start_offset", one.logStartOffset()).put("current_leader", one.currentLeader().leaderId())
                    .put("current_leader_epoch", one.currentLeader().leaderEpoch());
        }
    }

    private ObjectNode fetch(String topic, int partition, long from, int epoch, int broker) throws Exception {
        Map<TopicPartition, FetchRequest.PartitionData> asked = new LinkedHashMap<>();
        Optional<Integer> known = epoch < 0 ? Optional.empty() : Optional.of(epoch);
        Uuid id = id(topic);
        asked.put(new TopicPartition(topic, partition), new FetchRequest.PartitionData(id, from, -1L, 1 << 20, known));
        try (Wire wire = wire(broker)) {
            short version = ApiKeys.FETCH.latestVersion();
            FetchResponse answer = wire.ask(FetchRequest.Builder.forConsumer(version, 0, 0, asked));
            if (answer.data().responses().isEmpty()) {
                return error(answer.data().errorCode());
            }
            FetchResponseData.PartitionData one = answer.data().responses().get(0).partitions().get(0);
            ObjectNode fetched = error(one.errorCode()).put("high_watermark", one.highWatermark())
                    .put("last_stable_offset", one.lastStableOffset()).put("log_start_offset", one.logStartOffset())
                    .put("current_leader", one.currentLeader().leaderId())
                    .put("current_leader_epoch", one.currentLeader().leaderEpoch());
            ArrayNode batches = fetched.putArray("batches");
            if (one.records() instanceof MemoryRecords) {
                for (RecordBatch batch : ((MemoryRecords) one.records()).batches()) {
                    batches.addObject().put("base_offset", batch.baseOffset()).put("last_offset", batch.lastOffset())
                            .put("leader_epoch", batch.partitionLeaderEpoch()).put("size", batch.sizeInBytes())
                            .put("max_timestamp", batch.maxTimestamp()).put("crc", batch.checksum());
                }
            }
            return fetched;
        }
    }

    private ObjectNode listOffsets(String topic, int partition, long at, int epoch, int broker) throws Exception {
        ListOffsetsRequestData.ListOffsetsTopic asked = new ListOffsetsRequestData.ListOffsetsTopic().setName(topic);
        asked.partitions().add(new ListOffsetsRequestData.ListOffsetsPartition().setPartitionIndex(partition)
                .setCurrentLeaderEpoch(epoch).setTimestamp(at));
        try (Wire wire = wire(broker)) {
            ListOffsetsResponse answer = wire.ask(ListOffsetsRequest.Builder
                    .forConsumer(true, IsolationLevel.READ_UNCOMMITTED).setTargetTimes(List.of(asked)));
            ListOffsetsResponseData.ListOffsetsPartitionResponse one = answer.data().topics().get(0).partitions().get(0);
            return error(one.errorCode()).put("offset", one.offset()).put("timestamp", one.timestamp())
                    .put("leader_epoch", one.leaderEpoch());
        }
    }

    private ObjectNode epochEnd(String topic, int partition, int epoch, int current) throws Exception {
        OffsetForLeaderEpochRequestData.OffsetForLeaderTopicCollection topics =
                new OffsetForLeaderEpochRequestData.OffsetForLeaderTopicCollection();
        OffsetForLeaderEpochRequestData.OffsetForLeaderTopic asked = new OffsetForLeaderEpochRequestData.OffsetForLeaderTopic().setTopic(topic);
        asked.partitions().add(new OffsetForLeaderEpochRequestData.OffsetForLeaderPartition().setPartition(partition)
                .setCurrentLeaderEpoch(current).setLeaderEpoch(epoch));
        topics.add(asked);
        try (Wire wire = wire(2)) {
            OffsetsForLeaderEpochResponse answer = wire.ask(OffsetsForLeaderEpochRequest.Builder.forConsumer(topics));
            OffsetForLeaderEpochResponseData.EpochEndOffset one = answer.data().topics().iterator().next().partitions().get(0);
            return error(one.errorCode()).put("leader_epoch", one.leaderEpoch()).put("end_offset", one.endOffset());
        }
    }

    private ObjectNode deleteRecords(String topic, int partition, long before, int broker) throws Exception {
        DeleteRecordsRequestData data = new DeleteRecordsRequestData().setTimeoutMs(30_000);
        DeleteRecordsRequestData.DeleteRecordsTopic asked = new DeleteRecordsRequestData.DeleteRecordsTopic().setName(topic);
        asked.partitions().add(new DeleteRecordsRequestData.DeleteRecordsPartition().setPartitionIndex(partition).setOffset(before));
        data.topics().add(asked);
        try (Wire wire = wire(broker)) {
            DeleteRecordsResponse answer = wire.ask(new DeleteRecordsRequest.Builder(data));
            var one = answer.data().topics().iterator().next().partitions().iterator().next();
            return error(one.errorCode()).put("low_watermark", one.lowWatermark());
        }
    }

    private ObjectNode alter(ConfigResource of, String key, String value, int broker) throws Exception {
        IncrementalAlterConfigsRequestData.AlterableConfig change = new IncrementalAlterConfigsRequestData.AlterableConfig()
                .setName(key).setValue(value).setConfigOperation((byte) (value == null ? 1 : 0));
        IncrementalAlterConfigsRequestData.AlterConfigsResource resource = new IncrementalAlterConfigsRequestData.AlterConfigsResource()
                .setResourceType(of.type().id()).setResourceName(of.name());
        resource.configs().add(change);
        IncrementalAlterConfigsRequestData data = new IncrementalAlterConfigsRequestData();
        data.resources().add(resource);
        try (Wire wire = wire(broker)) {
            IncrementalAlterConfigsResponse answer = wire.ask(new IncrementalAlterConfigsRequest.Builder(data));
            return error(answer.data().responses().get(0).errorCode());
        }
    }

    private DescribeConfigsResponseData.DescribeConfigsResult described(ConfigResource of, int broker) throws Exception {
        DescribeConfigsRequestData data = new DescribeConfigsRequestData().setIncludeSynonyms(true);
        data.resources().add(new DescribeConfigsRequestData.DescribeConfigsResource().setResourceType(of.type().id())
                .setResourceName(of.name()).setConfigurationKeys(null));
        try (Wire wire = wire(broker)) {
            DescribeConfigsResponse answer = wire.ask(new DescribeConfigsRequest.Builder(data));
            return answer.data().results().get(0);
        }
    }

    private static String source(byte id) {
        return DescribeConfigsResponse.ConfigSource.forId(id).source().name();
    }

    /** All but what names this machine: directories, listeners, the ids that were given. */
    private ObjectNode configs(ConfigResource of, int broker) throws Exception {
        DescribeConfigsResponseData.DescribeConfigsResult result = described(of, broker);
        ObjectNode answer = error(result.errorCode());
        ObjectNode configs = answer.putObject("configs");
        result.configs().stream().sorted((a, b) -> a.name().compareTo(b.name())).forEach(config -> {
            boolean local = config.name().matches(".*(log\\.dir|listener|node\\.id|quorum\\.voters|process\\.roles|broker\\.id).*");
            if (local || config.isSensitive()) {
                return;
            }
            ObjectNode one = configs.putObject(config.name()).put("value", config.value()).put("read_only", config.readOnly())
                    .put("source", source(config.configSource()));
            ArrayNode synonyms = one.putArray("synonyms");
            config.synonyms().forEach(s -> synonyms.addArray().add(s.name()).add(s.value()).add(source(s.source())));
        });
        return answer;
    }

    /** What the tool kafka-topics prints, topic ids struck out. */
    private ArrayNode describe() throws Exception {
        // The tool ends its process; here it only ends its own work.
        Exit.setExitProcedure((code, message) -> {
            throw new ToolIsDone();
        });
        PrintStream before = System.out;
        ByteArrayOutputStream caught = new ByteArrayOutputStream();
        System.setOut(new PrintStream(caught, true, StandardCharsets.UTF_8));
        try {
            Method main = TopicCommand.class.getDeclaredMethod("execute", String[].class);
            main.setAccessible(true);
            main.invoke(null, (Object) new String[] {"--bootstrap-server", "127.0.0.1:" + ports[0], "--describe"});
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof ToolIsDone)) {
                throw e;
            }
        } finally {
            System.setOut(before);
        }
        ArrayNode lines = mapper.createArrayNode();
        for (String line : caught.toString(StandardCharsets.UTF_8).split("\n")) {
            lines.add(line.replaceAll("TopicId: [^\t]*", "TopicId: *"));
        }
        return lines;
    }

    private MetadataResponseData.MetadataResponseTopic topic(String name) throws Exception {
        try (Wire wire = wire(1)) {
            MetadataResponse answer = wire.ask(new MetadataRequest.Builder(List.of(name), false));
            return answer.data().topics().iterator().next();
        }
    }

    private ObjectNode metadata(String... names) throws Exception {
        ObjectNode topics = mapper.createObjectNode();
        for (String name : names) {
            MetadataResponseData.MetadataResponseTopic topic = topic(name);
            ObjectNode one = error(topic.errorCode());
            topics.set(name, one);
            ArrayNode partitions = one.putArray("partitions");
            topic.partitions().stream().sorted((a, b) -> a.partitionIndex() - b.partitionIndex()).forEach(p -> {
                ObjectNode partition = error(p.errorCode());
                partitions.add(partition);
                partition.put("partition", p.partitionIndex()).put("leader", p.leaderId()).put("leader_epoch", p.leaderEpoch());
                p.replicaNodes().forEach(partition.putArray("replicas")::add);
                p.isrNodes().forEach(partition.putArray("isr")::add);
                p.offlineReplicas().forEach(partition.putArray("offline")::add);
            });
        }
        return topics;
    }

    private Uuid id(String name) throws Exception {
        return topic(name).topicId();
    }

    private int leader(String name) throws Exception {
        List<MetadataResponseData.MetadataResponsePartition> partitions = topic(name).partitions();
        return partitions.stream().filter(p -> p.partitionIndex() == 0).findFirst().map(p -> p.leaderId()).orElse(-1);
    }

    private int isr(String name) throws Exception {
        return topic(name).partitions().get(0).isrNodes().size();
    }

    private static void pause(long until, String what) throws InterruptedException {
        if (System.currentTimeMillis() > until) {
            throw new IllegalStateException("waited in vain for " + what);
        }
        Thread.sleep(100);
    }

    private void waitForBrokers(int count) throws Exception {
        long until = System.currentTimeMillis() + 60_000;
        while (true) {
            try (Wire wire = wire(1)) {
                MetadataResponse answer = wire.ask(new MetadataRequest.Builder(List.of(), false));
                if (answer.data().brokers().size() == count) {
                    return;
                }
            } catch (java.io.IOException e) {
                // It does not listen yet.
            }
            pause(until, "the brokers");
        }
    }

    private void waitForLeaders(String... names) throws Exception {
        long until = System.currentTimeMillis() + 60_000;
        for (String name : names) {
            while (topic(name).errorCode() != 0 || leader(name) < 0) {
                pause(until, "a leader of " + name);
            }
        }
        // What one broker knows the others may still have to hear.
        Thread.sleep(2_000);
    }

    private void waitForHw(String name, long hw) throws Exception {
        long until = System.currentTimeMillis() + 60_000;
        while (listOffsets(name, 0, -1, -1, 2).get("offset").asLong() != hw) {
            pause(until, "the high watermark");
        }
    }

    /** Until brokers 1 and 2 have heard of it. */
    private void waitForConfig(ConfigResource of, String... pairs) throws Exception {
        long until = System.currentTimeMillis() + 60_000;
        for (int i = 0; i < pairs.length; i += 2) {
            String key = pairs[i];
            String value = pairs[i + 1];
            while (described(of, 2).configs().stream().noneMatch(c -> c.name().equals(key) && value.equals(c.value()))) {
                pause(until, key);
            }
        }
        Thread.sleep(2_000);
    }

    private void waitForNone(String name) throws Exception {
        long until = System.currentTimeMillis() + 60_000;
        while (topic(name).errorCode() != Errors.UNKNOWN_TOPIC_OR_PARTITION.code()) {
            pause(until, name + " to be deleted");
        }
        Thread.sleep(1_000);
    }
}

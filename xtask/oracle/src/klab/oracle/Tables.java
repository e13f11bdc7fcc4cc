package klab.oracle;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.errors.InvalidMetadataException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.server.config.AbstractKafkaConfig;

/** Kafka's own tables: its errors, its APIs and the defaults of its settings. */
final class Tables {
    static ObjectNode vectors(ObjectMapper mapper) {
        ObjectNode out = mapper.createObjectNode();
        ObjectNode errors = out.putObject("errors");
        for (Errors error : Errors.values()) {
            String kind = error.exception() instanceof InvalidMetadataException ? "refresh"
                    : error.exception() instanceof RetriableException ? "retry" : "final";
            errors.putObject(error.name()).put("code", error.code()).put("kind", kind);
        }
        ObjectNode apis = out.putObject("apis");
        for (ApiKeys api : ApiKeys.values()) {
            apis.putObject(Short.toString(api.id)).put("name", api.name).put("version", api.latestVersion(false));
        }
        ObjectNode defaults = out.putObject("defaults");
        defaults.set("producer", of(mapper, ProducerConfig.configDef()));
        defaults.set("consumer", of(mapper, ConsumerConfig.configDef()));
        defaults.set("server", of(mapper, AbstractKafkaConfig.CONFIG_DEF));
        return out;
    }

    private static ObjectNode of(ObjectMapper mapper, ConfigDef table) {
        ObjectNode out = mapper.createObjectNode();
        Map<String, ConfigDef.ConfigKey> keys = new TreeMap<>(table.configKeys());
        keys.forEach((name, key) -> {
            // A directory's default is one of some machine.
            if (key.type != ConfigDef.Type.PASSWORD && !name.equals("log.dir")) {
                out.put(name, key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null);
            }
        });
        return out;
    }

    private Tables() {
    }
}

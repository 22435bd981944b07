// The Java client's side of tests/conformance/test_java_clients.py: one scenario per run, named by the first argument.
// Prints one line per finding, which the test compares. Run as a single source file with Kafka's jars on the class path.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Scenarios {
    static String bootstrap;
    static String prefix;
    static final long DEADLINE = System.currentTimeMillis() + 60_000;

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        prefix = args[2];
        switch (args[0]) {
            case "codecs" -> codecs();
            case "groups" -> groups();
            case "static-members" -> staticMembers();
            case "admin" -> admin();
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.out.println("done");
    }

    static void say(String format, Object... values) {
        System.out.println(String.format(format, values));
    }

    static void within(String what) {
        if (System.currentTimeMillis() > DEADLINE) {
            throw new IllegalStateException("too late: " + what);
        }
    }

    static KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 5));
        config.putAll(more);
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String group, Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest",
            "enable.auto.commit", false, "session.timeout.ms", 6000, "heartbeat.interval.ms", 200, "group.id", group));
        config.putAll(more);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    static void create(String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        }
    }

    // Every codec with every acks; idempotent where acks allows it, which is the Java client's default.
    static void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                String topic = prefix + "-" + codec + "-" + acks;
                create(topic, 1);
                boolean idempotent = acks.equals("all");
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                try (var producer = producer(Map.of("compression.type", codec, "acks", acks, "enable.idempotence", idempotent))) {
                    for (int number = 0; number < 200; number++) {
                        sent.add(producer.send(new ProducerRecord<>(topic, "k", "값 " + number)));
                    }
                    for (Future<RecordMetadata> future : sent) {
                        future.get();
                    }
                }
                try (var consumer = consumer(prefix + "-codecs", Map.of())) {
                    consumer.assign(List.of(new TopicPartition(topic, 0)));
                    consumer.seekToBeginning(consumer.assignment());
                    List<String> values = new ArrayList<>();
                    while (values.size() < 200) {
                        within(topic);
                        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                            values.add(record.value());
                        }
                    }
                    boolean ordered = true;
                    for (int number = 0; number < 200; number++) {
                        ordered &= values.get(number).equals("값 " + number);
                    }
                    say("%s acks=%s records=%d ordered=%b", codec, acks, values.size(), ordered);
                }
            }
        }
    }

    static class Listener implements ConsumerRebalanceListener {
        int assigned;
        int revoked;

        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            assigned += partitions.size();
        }

        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            revoked += partitions.size();
        }
    }

    static Set<Integer> held(KafkaConsumer<String, String> consumer) {
        Set<Integer> held = new TreeSet<>();
        consumer.assignment().forEach(partition -> held.add(partition.partition()));
        return held;
    }

    // Cooperative rebalance: the first keeps what it may keep; commits survive a restart of the group.
    static void groups() throws Exception {
        String topic = prefix + "-groups";
        String group = prefix + "-group";
        create(topic, 4);
        Map<String, Object> cooperative = Map.of("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
        var first = consumer(group, cooperative);
        Listener listener = new Listener();
        first.subscribe(List.of(topic), listener);
        while (held(first).size() < 4) {
            within("first assignment");
            first.poll(Duration.ofMillis(50));
        }
        say("alone holds=%d", held(first).size());
        var second = consumer(group, cooperative);
        second.subscribe(List.of(topic));
        while (held(first).size() != 2 || held(second).size() != 2) {
            within("rebalance");
            first.poll(Duration.ofMillis(50));
            second.poll(Duration.ofMillis(50));
        }
        say("together first=2 second=2 revoked=%d", listener.revoked);
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        first.assignment().forEach(partition -> offsets.put(partition, new OffsetAndMetadata(7, Optional.empty(), "메모")));
        first.commitSync(offsets);
        TopicPartition committed = first.assignment().iterator().next();
        second.close();
        first.close();
        var third = consumer(group, cooperative);
        OffsetAndMetadata found = third.committed(Set.of(committed)).get(committed);
        say("committed offset=%d metadata=%s", found.offset(), found.metadata());
        third.close();
    }

    static void staticMembers() throws Exception {
        String topic = prefix + "-static";
        String group = prefix + "-static-group";
        create(topic, 2);
        var one = consumer(group, Map.of("group.instance.id", "one"));
        var two = consumer(group, Map.of("group.instance.id", "two"));
        Listener listener = new Listener();
        one.subscribe(List.of(topic), listener);
        two.subscribe(List.of(topic));
        while (held(one).size() != 1 || held(two).size() != 1) {
            within("static members");
            one.poll(Duration.ofMillis(50));
            two.poll(Duration.ofMillis(50));
        }
        Set<Integer> before = held(two);
        int assigned = listener.assigned;
        two.close();
        var again = consumer(group, Map.of("group.instance.id", "two"));
        again.subscribe(List.of(topic));
        while (held(again).isEmpty()) {
            within("static member comes back");
            one.poll(Duration.ofMillis(50));
            again.poll(Duration.ofMillis(50));
        }
        say("came back same=%b rebalanced=%b", held(again).equals(before), listener.assigned != assigned);
        again.close();
        one.close();
    }

    static String nameOf(ExecutionException error) {
        return error.getCause().getClass().getSimpleName();
    }

    static void admin() throws Exception {
        String topic = prefix + "-admin";
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            say("nodes=%d controller=%d", admin.describeCluster().nodes().get().size(), admin.describeCluster().controller().get().id());
            admin.createTopics(List.of(new NewTopic(topic, Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "5000000")))).all().get();
            for (NewTopic bad : List.of(new NewTopic(topic, 1, (short) 1), new NewTopic("bad/name", 1, (short) 1),
                new NewTopic(prefix + "-none", 0, (short) 1), new NewTopic(prefix + "-many", 1, (short) 5),
                new NewTopic(prefix + "-config", 1, (short) 1).configs(Map.of("no.such", "1")))) {
                try {
                    admin.createTopics(List.of(bad)).all().get();
                    say("created %s", bad.name());
                } catch (ExecutionException error) {
                    say("refused %s", nameOf(error));
                }
            }
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
            while (admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() != 3) {
                within("partitions");
            }
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            AlterConfigOp set = new AlterConfigOp(new ConfigEntry("retention.ms", "6000000"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
            String value = "";
            while (!value.equals("6000000")) {
                within("config");
                value = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
            }
            say("retention.ms=%s", value);
            var latest = admin.listOffsets(Map.of(new TopicPartition(topic, 2), OffsetSpec.latest())).all().get();
            say("latest=%d", latest.get(new TopicPartition(topic, 2)).offset());
            say("reassignments=%d", admin.listPartitionReassignments().reassignments().get().size());
            say("log dirs=%d", admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).size());
            var features = admin.describeFeatures().featureMetadata().get();
            say("metadata.version=%d", features.finalizedFeatures().get("metadata.version").maxVersionLevel());
            say("quorum leader=%d", admin.describeMetadataQuorum().quorumInfo().get().leaderId());
            admin.deleteTopics(List.of(topic)).all().get();
            try {
                admin.describeConsumerGroups(List.of(prefix + "-absent")).all().get();
            } catch (ExecutionException error) {
                say("absent group %s", nameOf(error));
            }
        }
    }
}

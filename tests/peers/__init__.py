"""What we compare ourselves with: Apache Kafka itself, its Java clients and its tools."""

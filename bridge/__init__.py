"""The outer layer: the command line, the services' HTTP interfaces, the client, and the embedded Kafka and Postgres."""

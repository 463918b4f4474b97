"""What aiokafka lacks, in one place."""

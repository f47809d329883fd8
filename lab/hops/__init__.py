"""What must be: pure judgement of a lab's facts, hop by hop along the ingress path."""

"""flyteidl2.workflow.RunService."""

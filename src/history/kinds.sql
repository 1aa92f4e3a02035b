ALTER TABLE alarms ADD COLUMN kind TEXT /* the rule with its fields as JSON, which the farmer reads again */;

-- The batch of a kept message, which leads to the customer who may see it. Null: a message of an older version, or of no
-- batch; only operators see it.

alter table sandbox add column batch_id text;

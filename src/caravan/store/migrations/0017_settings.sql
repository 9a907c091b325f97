-- What the settings page shows: from which address an act came, what a token is called, who made it and when it was used.

alter table audit add column address text;
-- What the actor is called: a token's name. Null where the name is all there is to say.
alter table audit add column actor_label text;
create index audit_of_actor on audit (customer_id, actor_name, id);
create index audit_of_act on audit (customer_id, act, id);
create index audit_of_subject on audit (customer_id, subject, id);

alter table tokens add column created_by text;
-- Written once a minute at most.
alter table tokens add column used_at timestamptz;

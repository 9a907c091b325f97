-- name: set_idle_timeout
-- A client that vanishes, or stands still in the middle of a transaction, loses it and its locks after this time.
select set_config('idle_in_transaction_session_timeout', %(silence)s, false),
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false)

-- name: now
select now() as now

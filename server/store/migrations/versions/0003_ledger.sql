-- The ledger: stock movements and payments are only ever added to, and sealed into chains of hashes.

-- Money that moved at the provider, as the shop learned of it. `charge`: taken, for an order or once too often
-- (an extra payment, which goes back). `refund`: given back. Nothing in here names a person.
CREATE TABLE payments (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id           uuid NOT NULL REFERENCES orders,
    kind               text NOT NULL CHECK (kind IN ('charge', 'refund')),
    payment_intent_ref text NOT NULL CHECK (payment_intent_ref !~ '[|\n]'),
    refund_ref         text CHECK (refund_ref !~ '[|\n]'),
    amount_minor       bigint NOT NULL CHECK (amount_minor >= 0),
    currency           char(3) NOT NULL,
    at                 timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'refund') = (refund_ref IS NOT NULL))
);
CREATE UNIQUE INDEX payments_charge ON payments (payment_intent_ref) WHERE kind = 'charge';
CREATE UNIQUE INDEX payments_refund ON payments (refund_ref) WHERE kind = 'refund';
CREATE INDEX payments_order ON payments (order_id);

INSERT INTO payments (order_id, kind, payment_intent_ref, amount_minor, currency, at)
SELECT id, 'charge', payment_intent_ref, total_minor, currency, coalesce(settled_at, created_at)
FROM orders WHERE payment_intent_ref IS NOT NULL AND state IN ('paid', 'fulfilled', 'refunded')
ORDER BY settled_at, id;
INSERT INTO payments (order_id, kind, payment_intent_ref, amount_minor, currency, at)
SELECT r.order_id, 'charge', r.payment_intent_ref, sum(r.amount_minor), o.currency, min(r.created_at)
FROM refunds r JOIN orders o ON o.id = r.order_id
WHERE r.payment_intent_ref IS DISTINCT FROM o.payment_intent_ref
GROUP BY r.order_id, r.payment_intent_ref, o.currency;
INSERT INTO payments (order_id, kind, payment_intent_ref, refund_ref, amount_minor, currency, at)
SELECT r.order_id, 'refund', r.payment_intent_ref, r.refund_ref, r.amount_minor, o.currency, r.done_at
FROM refunds r JOIN orders o ON o.id = r.order_id
WHERE r.state = 'done' AND r.refund_ref IS NOT NULL ORDER BY r.done_at, r.id;

-- Rows are sealed in the order of their ids. `marks` are the first 8 bytes of the running hash after each row: they
-- only help to name the row that fails. `sha256`, the whole running hash after the last one, is what counts, and
-- the next block begins with it. An id below `last_id` that is in no block was never committed.
CREATE TABLE ledger_blocks (
    ledger    text   NOT NULL CHECK (ledger IN ('stock_movements', 'payments')),
    number    bigint NOT NULL CHECK (number >= 1),
    last_id   bigint NOT NULL,
    ids       bigint[] NOT NULL,
    marks     bytea  NOT NULL CHECK (length(marks) = 8 * cardinality(ids)),
    previous  bytea  NOT NULL CHECK (length(previous) = 32),
    sha256    bytea  NOT NULL CHECK (length(sha256) = 32),
    sealed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ledger, number)
);

-- What each run of `hawker verify` and of the comparison with the provider found.
CREATE TABLE book_checks (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('books', 'provider')),
    passed   boolean NOT NULL,
    rows     bigint NOT NULL,
    findings jsonb NOT NULL,
    heads    jsonb NOT NULL DEFAULT '{}',
    seconds  double precision NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX book_checks_kind ON book_checks (kind, id DESC);

-- When a job last began, for those that run rarely: whoever moves the mark on has the run.
CREATE TABLE job_marks (
    name text PRIMARY KEY,
    at   timestamptz NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Write a row that corrects it.';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_movements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON stock_movements, payments, ledger_blocks FROM PUBLIC, CURRENT_USER;

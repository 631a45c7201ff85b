-- Money back: refunds made at the provider, refunds that a bank returned, and refunds of many orders by one wish.

-- One wish to give money back for many orders: a cancelled show, a product that was withdrawn. A worker carries it out.
CREATE TABLE refund_runs (
    id           uuid PRIMARY KEY,                        -- made by whoever asks: asked for twice is one
    shop_id      uuid NOT NULL REFERENCES shops,
    show_id      uuid REFERENCES shows,
    product_id   uuid REFERENCES products,
    cancels_show boolean NOT NULL,
    sent_too     boolean NOT NULL,                        -- orders that were sent already, too
    restock      boolean NOT NULL,
    reason       text NOT NULL,
    asked_by     uuid NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL DEFAULT now(),      -- until then nobody else touches it
    done_at      timestamptz,                             -- every order was asked for, and none can be paid any more
    CHECK (show_id IS NOT NULL OR product_id IS NOT NULL),
    CHECK (show_id IS NOT NULL OR NOT cancels_show)
);
CREATE INDEX refund_runs_due ON refund_runs (due_at) WHERE done_at IS NULL;
CREATE INDEX refund_runs_show ON refund_runs (show_id, created_at);
CREATE INDEX refund_runs_product ON refund_runs (product_id, created_at);

ALTER TABLE shows ADD COLUMN cancelled_at timestamptz;

-- `returned`: carried out, and sent back by the bank since.
ALTER TABLE refunds DROP CONSTRAINT refunds_state_check;
ALTER TABLE refunds
    ADD CONSTRAINT refunds_state_check CHECK (state IN ('queued', 'done', 'failed', 'returned')),
    ADD COLUMN at_provider boolean NOT NULL DEFAULT false, -- made there, not by us
    ADD COLUMN unseen_since timestamptz,                  -- since when the provider shows nothing of a request that failed
    ADD COLUMN doubted_since timestamptz,                 -- since when what it shows doesn't add up
    ADD COLUMN run_id uuid REFERENCES refund_runs;
CREATE UNIQUE INDEX refunds_ref ON refunds (refund_ref) WHERE refund_ref IS NOT NULL;
CREATE UNIQUE INDEX refunds_run ON refunds (run_id, order_id) WHERE run_id IS NOT NULL;

-- What a buyer was to get back and has not: a refund failed, or was returned.
ALTER TABLE orders
    ADD COLUMN owed_minor   bigint NOT NULL DEFAULT 0 CHECK (owed_minor >= 0),
    ADD COLUMN repaid_minor bigint NOT NULL DEFAULT 0 CHECK (repaid_minor >= 0); -- of that: paid in another way since
CREATE INDEX orders_owed ON orders (shop_id, number DESC) WHERE owed_minor > 0;

-- The ledger's word for a refund that was returned: the shop has the money again.
ALTER TABLE payments DROP CONSTRAINT payments_kind_check, DROP CONSTRAINT payments_check;
ALTER TABLE payments
    ADD CONSTRAINT payments_kind_check CHECK (kind IN ('charge', 'refund', 'refund_returned')),
    ADD CONSTRAINT payments_check CHECK ((kind = 'charge') = (refund_ref IS NULL));
CREATE UNIQUE INDEX payments_refund_returned ON payments (refund_ref) WHERE kind = 'refund_returned';

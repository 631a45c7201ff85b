-- Flash prices, drops and waitlists. Whatever of them depends on time is decided by this server's clock when it is read.

-- A price with an end. At most one of a variant is not over; one past `ends_at` counts no more, written over or not.
CREATE TABLE flash_prices (
    id            uuid PRIMARY KEY,
    shop_id       uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    show_id       uuid REFERENCES shows ON DELETE SET NULL,
    variant_id    uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
    price_minor   bigint NOT NULL CHECK (price_minor BETWEEN 1 AND 99999999),
    was_minor     bigint NOT NULL,                        -- the price when it began
    buyer_limit   integer NOT NULL DEFAULT 0 CHECK (buyer_limit >= 0),      -- units a buyer at this price, 0: none
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL CHECK (ends_at > starts_at),
    over_at       timestamptz,                            -- written once
    over_because  text CHECK (over_because IN ('time', 'early', 'replaced')),
    command_key   text NOT NULL UNIQUE,                   -- the command that began it: repeated, it begins nothing
    over_key      text,                                   -- the command that ended it early
    started_by    uuid,
    CHECK ((over_at IS NULL) = (over_because IS NULL))
);
CREATE UNIQUE INDEX flash_prices_running ON flash_prices (variant_id) WHERE over_at IS NULL;

-- Units that can be bought from `opens_at` on. `version` grows with each change that the rooms are told of.
CREATE TABLE drops (
    id               uuid PRIMARY KEY,
    shop_id          uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    show_id          uuid REFERENCES shows ON DELETE SET NULL,
    variant_id       uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
    state            text NOT NULL CHECK (state IN ('scheduled', 'open', 'sold_out', 'cancelled')),
    units            integer NOT NULL CHECK (units >= 1),
    available_before integer NOT NULL,                    -- what cancelling goes back to
    opens_at         timestamptz NOT NULL,
    waiting_told     integer NOT NULL DEFAULT 0,
    version          bigint NOT NULL DEFAULT 1,
    over_at          timestamptz,                         -- cancelled, or another drop took its place
    command_key      text NOT NULL UNIQUE,
    over_key         text,
    scheduled_by     uuid,
    created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX drops_current ON drops (variant_id) WHERE over_at IS NULL;
CREATE INDEX drops_unopened ON drops (opens_at) WHERE over_at IS NULL AND state <> 'sold_out';

-- The waitlist: `number` is the line. A place that is `offered` has its units in `held` until it is bought or expires.
CREATE TABLE waitlist (
    id            uuid PRIMARY KEY,
    number        bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    shop_id       uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    show_id       uuid REFERENCES shows ON DELETE SET NULL,
    variant_id    uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
    user_id       uuid REFERENCES users ON DELETE SET NULL,
    quantity      integer NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    state         text NOT NULL CHECK (state IN ('waiting', 'offered', 'bought', 'expired', 'left')),
    offer_id      uuid UNIQUE,
    offered       integer CHECK (offered BETWEEN 1 AND quantity),           -- units set aside
    offer_ends_at timestamptz,
    order_id      uuid UNIQUE,
    position_told integer,
    joined_at     timestamptz NOT NULL DEFAULT now(),
    over_at       timestamptz,
    CHECK ((state IN ('waiting', 'offered')) = (over_at IS NULL)),
    CHECK (state <> 'offered' OR (offer_id IS NOT NULL AND offered IS NOT NULL AND offer_ends_at IS NOT NULL))
);
CREATE UNIQUE INDEX waitlist_once ON waitlist (variant_id, user_id) WHERE state IN ('waiting', 'offered');
CREATE INDEX waitlist_line ON waitlist (variant_id, number) WHERE state = 'waiting';
CREATE INDEX waitlist_offers ON waitlist (offer_ends_at) WHERE state = 'offered';
CREATE INDEX waitlist_user ON waitlist (user_id, number DESC);

-- What an order was bought under.
ALTER TABLE orders ADD COLUMN drop_id uuid REFERENCES drops ON DELETE SET NULL,
                   ADD COLUMN drop_position bigint;       -- which of the drop's taps it was
CREATE INDEX orders_drop ON orders (drop_id, drop_position) WHERE drop_id IS NOT NULL;
ALTER TABLE order_lines ADD COLUMN flash_id uuid REFERENCES flash_prices ON DELETE SET NULL;
CREATE INDEX order_lines_flash ON order_lines (flash_id) WHERE flash_id IS NOT NULL;

-- An offer takes units from `available` into `held`; giving it back, or buying by it, begins by taking them out again.
ALTER TABLE stock_movements DROP CONSTRAINT stock_movements_kind_check;
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_kind_check
    CHECK (kind IN ('set', 'hold', 'sell', 'release', 'return', 'offer', 'offer_back'));

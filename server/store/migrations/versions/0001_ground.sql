-- The shop's ground: people, catalogue, stock, shows, orders, money, and what carries news out.
-- Ids are UUIDs made by the application (UUIDv7 where order matters). Money is minor units. Times are timestamptz.

CREATE TABLE shops (
    id                  uuid PRIMARY KEY,
    slug                text NOT NULL UNIQUE,
    name                text NOT NULL,
    currency            char(3) NOT NULL,
    country             char(2) NOT NULL,
    tax_rate_bp         integer NOT NULL DEFAULT 0 CHECK (tax_rate_bp BETWEEN 0 AND 10000),   -- basis points, included in prices
    flat_shipping_minor bigint  NOT NULL DEFAULT 0 CHECK (flat_shipping_minor >= 0),
    contact_email       text NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    id                uuid PRIMARY KEY,
    email             text NOT NULL CHECK (email = lower(email)),
    password_hash     text NOT NULL,
    display_name      text NOT NULL,
    show_first_name   boolean NOT NULL DEFAULT false,      -- consent: a purchase may be shown with the first name
    email_verified_at timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (email)
);

CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_sha256 bytea NOT NULL UNIQUE,
    user_agent   text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id) WHERE revoked_at IS NULL;

CREATE TABLE memberships (
    shop_id    uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('owner', 'producer', 'host', 'moderator')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shop_id, user_id, role)
);

CREATE TABLE invitations (
    id           uuid PRIMARY KEY,
    shop_id      uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    email        text NOT NULL CHECK (email = lower(email)),
    role         text NOT NULL CHECK (role IN ('owner', 'producer', 'host', 'moderator')),
    token_sha256 bytea NOT NULL UNIQUE,
    invited_by   uuid REFERENCES users ON DELETE SET NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    accepted_at  timestamptz
);

CREATE TABLE email_tokens (
    token_sha256 bytea PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose      text NOT NULL CHECK (purpose IN ('verify', 'reset')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);

CREATE TABLE images (
    id           uuid PRIMARY KEY,
    shop_id      uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    sha256       bytea NOT NULL,
    content_type text NOT NULL,
    width        integer NOT NULL CHECK (width > 0),
    height       integer NOT NULL CHECK (height > 0),
    size_bytes   bigint NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (shop_id, sha256)
);

CREATE TABLE products (
    id          uuid PRIMARY KEY,
    shop_id     uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    handle      text NOT NULL,
    title       text NOT NULL,
    description text NOT NULL DEFAULT '',
    vendor      text NOT NULL DEFAULT '',
    tags        text[] NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('draft', 'active', 'archived')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (shop_id, handle)
);

CREATE TABLE product_images (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    image_id   uuid NOT NULL REFERENCES images ON DELETE CASCADE,
    position   integer NOT NULL DEFAULT 0,
    alt        text NOT NULL DEFAULT '',
    PRIMARY KEY (product_id, image_id)
);

CREATE TABLE variants (
    id               uuid PRIMARY KEY,
    product_id       uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    position         integer NOT NULL DEFAULT 0,
    title            text NOT NULL DEFAULT '',
    sku              text NOT NULL DEFAULT '',
    price_minor      bigint NOT NULL CHECK (price_minor BETWEEN 0 AND 99999999),
    compare_at_minor bigint CHECK (compare_at_minor BETWEEN 0 AND 99999999),
    buyer_limit      integer NOT NULL DEFAULT 0 CHECK (buyer_limit >= 0),                    -- units a buyer, 0: none
    state            text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'archived')),
    created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX variants_product ON variants (product_id, position);

-- stock = available + held + sold. `available` is what can still be allocated, `held` is allocated to orders that are
-- charging, `sold` is paid for. PostgreSQL is the truth; Redis is a gate in front of `available`.
CREATE TABLE stock (
    variant_id uuid PRIMARY KEY REFERENCES variants ON DELETE CASCADE,
    available  integer NOT NULL DEFAULT 0 CHECK (available >= 0),
    held       integer NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold       integer NOT NULL DEFAULT 0 CHECK (sold >= 0),
    version    bigint  NOT NULL DEFAULT 0,                                                    -- grows with each change
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Append-only: why stock moved. The sums of each variant's deltas are its stock row.
CREATE TABLE stock_movements (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    variant_id      uuid NOT NULL REFERENCES variants,
    kind            text NOT NULL CHECK (kind IN ('set', 'hold', 'sell', 'release', 'return')),
    available_delta integer NOT NULL,
    held_delta      integer NOT NULL,
    sold_delta      integer NOT NULL,
    order_id        uuid,
    actor_id        uuid,
    at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stock_movements_variant ON stock_movements (variant_id, id);
CREATE INDEX stock_movements_order ON stock_movements (order_id) WHERE order_id IS NOT NULL;

CREATE TABLE shows (
    id             uuid PRIMARY KEY,
    shop_id        uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
    title          text NOT NULL,
    description    text NOT NULL DEFAULT '',
    state          text NOT NULL DEFAULT 'scheduled' CHECK (state IN ('scheduled', 'live', 'ended')),
    visibility     text NOT NULL DEFAULT 'public' CHECK (visibility IN ('public', 'unlisted', 'invited')),
    playback_id    text NOT NULL UNIQUE,                  -- public, random: reveals no key
    host_id        uuid REFERENCES users ON DELETE SET NULL,
    cover_image_id uuid REFERENCES images ON DELETE SET NULL,
    pinned_product uuid REFERENCES products ON DELETE SET NULL,
    starts_at      timestamptz NOT NULL,
    started_at     timestamptz,
    ended_at       timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX shows_state ON shows (shop_id, state, starts_at);

CREATE TABLE show_items (
    show_id    uuid NOT NULL REFERENCES shows ON DELETE CASCADE,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    position   integer NOT NULL,
    shown_at   timestamptz,                               -- first pinned
    PRIMARY KEY (show_id, product_id)
);

-- Tickets for shows that are not public: a link a shop hands out. The token itself is never stored.
CREATE TABLE show_passes (
    token_sha256 bytea PRIMARY KEY,
    show_id      uuid NOT NULL REFERENCES shows ON DELETE CASCADE,
    label        text NOT NULL DEFAULT '',
    created_by   uuid REFERENCES users ON DELETE SET NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz
);

CREATE TABLE stream_keys (
    id         uuid PRIMARY KEY,
    show_id    uuid NOT NULL REFERENCES shows ON DELETE CASCADE,
    key_sha256 bytea NOT NULL UNIQUE,
    hint       text NOT NULL,                             -- last four characters, to recognise it by
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX stream_keys_show ON stream_keys (show_id) WHERE revoked_at IS NULL;

CREATE TABLE addresses (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name        text NOT NULL,
    line1       text NOT NULL,
    line2       text NOT NULL DEFAULT '',
    city        text NOT NULL,
    region      text NOT NULL DEFAULT '',
    postal_code text NOT NULL,
    country     char(2) NOT NULL,
    phone       text NOT NULL DEFAULT '',
    is_default  boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX addresses_user ON addresses (user_id);

CREATE TABLE payment_customers (
    user_id      uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    customer_ref text NOT NULL UNIQUE                     -- the provider's id
);

CREATE TABLE cards (
    id                 uuid PRIMARY KEY,
    user_id            uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    payment_method_ref text NOT NULL UNIQUE,
    brand              text NOT NULL,
    last4              text NOT NULL,
    exp_month          integer NOT NULL,
    exp_year           integer NOT NULL,
    is_default         boolean NOT NULL DEFAULT false,
    created_at         timestamptz NOT NULL DEFAULT now(),
    removed_at         timestamptz
);
CREATE INDEX cards_user ON cards (user_id) WHERE removed_at IS NULL;

CREATE TABLE orders (
    id                 uuid PRIMARY KEY,                  -- made by the buyer's client: the idempotency key of a tap
    shop_id            uuid NOT NULL REFERENCES shops,
    show_id            uuid REFERENCES shows ON DELETE SET NULL,
    user_id            uuid REFERENCES users ON DELETE SET NULL,
    number             bigint GENERATED ALWAYS AS IDENTITY UNIQUE,   -- what people say on the telephone
    state              text NOT NULL CHECK (state IN
                         ('charging', 'action_needed', 'paid', 'declined', 'cancelled', 'fulfilled', 'refunded')),
    currency           char(3) NOT NULL,
    subtotal_minor     bigint NOT NULL CHECK (subtotal_minor >= 0),
    shipping_minor     bigint NOT NULL CHECK (shipping_minor >= 0),
    total_minor        bigint NOT NULL CHECK (total_minor = subtotal_minor + shipping_minor),
    tax_minor          bigint NOT NULL CHECK (tax_minor BETWEEN 0 AND total_minor),          -- included in the total
    refunded_minor     bigint NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND total_minor),
    address            jsonb NOT NULL,
    card_id            uuid REFERENCES cards ON DELETE SET NULL,
    request_sha256     bytea NOT NULL,                    -- the same id with another content is refused
    show_first_name    boolean NOT NULL DEFAULT false,
    media_time         bigint,                            -- RTP time of the picture the buyer saw, 90 kHz
    payment_intent_ref text UNIQUE,
    action_deadline    timestamptz,
    failure_code       text,
    failure_message    text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    settled_at         timestamptz,
    fulfilled_at       timestamptz
);
CREATE INDEX orders_user ON orders (user_id, created_at DESC);
CREATE INDEX orders_shop ON orders (shop_id, created_at DESC);
CREATE INDEX orders_show ON orders (show_id) WHERE show_id IS NOT NULL;
CREATE INDEX orders_open ON orders (state, created_at) WHERE state IN ('charging', 'action_needed');

CREATE TABLE order_lines (
    order_id         uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    position         integer NOT NULL,
    variant_id       uuid NOT NULL REFERENCES variants,
    title            text NOT NULL,
    variant_title    text NOT NULL DEFAULT '',
    quantity         integer NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (order_id, position),
    UNIQUE (order_id, variant_id)
);
CREATE INDEX order_lines_variant ON order_lines (variant_id);

-- One row an attempt to charge. The key is derived from order and number, so it survives any crash.
CREATE TABLE payment_attempts (
    order_id           uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    attempt            integer NOT NULL CHECK (attempt >= 1),
    idempotency_key    text NOT NULL UNIQUE,
    customer_ref       text NOT NULL,                     -- frozen with the key: a replay must send the same request
    payment_method_ref text NOT NULL,
    amount_minor       bigint NOT NULL,
    state              text NOT NULL CHECK (state IN ('ready', 'leased', 'unknown', 'action_needed', 'paid', 'declined', 'cancelled')),
    payment_intent_ref text,
    client_secret      text,                              -- for 3-D Secure, only while the buyer has to act
    lease_owner        text,
    lease_until        timestamptz,                       -- until then nobody else touches the attempt
    tries              integer NOT NULL DEFAULT 0,
    failure_code       text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    settled_at         timestamptz,
    PRIMARY KEY (order_id, attempt)
);
CREATE INDEX payment_attempts_open ON payment_attempts (lease_until) WHERE state IN ('ready', 'leased', 'unknown', 'action_needed');

-- Append-only: an order's whole history on one page.
CREATE TABLE order_events (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    kind     text NOT NULL,
    detail   jsonb NOT NULL DEFAULT '{}',
    actor_id uuid,
    at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_events_order ON order_events (order_id, id);

CREATE TABLE refunds (
    id           uuid PRIMARY KEY,
    order_id     uuid REFERENCES orders,
    payment_intent_ref text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    reason       text NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'done', 'failed')),
    refund_ref   text,
    failure_code text,
    tries        integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    requested_by uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    done_at      timestamptz
);
CREATE INDEX refunds_queued ON refunds (due_at) WHERE state = 'queued';
CREATE INDEX refunds_order ON refunds (order_id);

CREATE TABLE webhook_inbox (
    event_id     text PRIMARY KEY,
    kind         text NOT NULL,
    payload      jsonb NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    attempts     integer NOT NULL DEFAULT 0,
    error        text
);
CREATE INDEX webhook_inbox_open ON webhook_inbox (due_at) WHERE processed_at IS NULL;

-- What must be told to somebody else after a commit: room, buyer, mail. Written in the transaction it tells of.
CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL,                             -- room_event, personal, mail, stock, session_revoked
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at     timestamptz NOT NULL DEFAULT now(),
    attempts   integer NOT NULL DEFAULT 0,
    done_at    timestamptz,
    error      text
);
CREATE INDEX outbox_open ON outbox (due_at, id) WHERE done_at IS NULL;

-- The archived show log.
CREATE TABLE show_events (
    show_id uuid NOT NULL REFERENCES shows ON DELETE CASCADE,
    epoch   text NOT NULL,
    n       bigint NOT NULL,
    event   jsonb NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (show_id, epoch, n)
);

CREATE TABLE audit (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shop_id  uuid REFERENCES shops ON DELETE CASCADE,
    actor_id uuid,
    action   text NOT NULL,
    subject  text NOT NULL DEFAULT '',
    detail   jsonb NOT NULL DEFAULT '{}',
    at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_shop ON audit (shop_id, id DESC);

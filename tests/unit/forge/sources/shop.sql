-- A dump in the manner of pg_dump, with what databases have and Blueprints have not.
SET statement_timeout = 0;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE public.order_state AS ENUM (
    'New',
    'in-progress',
    'paid'
);
CREATE DOMAIN percentage AS integer CHECK (VALUE >= 0 AND VALUE <= 100);
CREATE TABLE public.users (
    id bigint NOT NULL,
    email character varying(254) NOT NULL,
    "full name" text,
    nick citext UNIQUE,
    balance numeric DEFAULT 0.5,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT adult CHECK ((length((email)::text) > 3))
);
CREATE TABLE public.customers (
    customer_id serial PRIMARY KEY,
    user_id bigint UNIQUE REFERENCES public.users (id) ON DELETE CASCADE,
    owner_id bigint REFERENCES public.users (id),
    discount percentage DEFAULT 10,
    vip boolean DEFAULT false NOT NULL,
    kind text CHECK (kind IN ('person', 'company')),
    rating smallint CHECK (rating BETWEEN 1 AND 5),
    code char(6) CHECK (code ~ '^[A-Z]{6}$'),
    birthday date DEFAULT '2000-01-31',
    photo bytea,
    tags text[],
    settings jsonb DEFAULT '{}'::jsonb,
    price money,
    weight double precision,
    meeting timestamp without time zone
);
CREATE TABLE public.orders (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    state public.order_state DEFAULT 'New'::public.order_state NOT NULL,
    total numeric(10,2) DEFAULT 0.00 NOT NULL CHECK (total > 0),
    customer_id integer NOT NULL,
    "select" integer,
    status varchar(20),
    class varchar(20) COLLATE "C",
    CONSTRAINT orders_state CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))),
    CONSTRAINT both UNIQUE (state, customer_id),
    CHECK (total < 100000 OR state = 'paid')
);
CREATE TABLE public.products (
    sku varchar(12) PRIMARY KEY,
    parent varchar(12) REFERENCES public.products (sku) ON DELETE SET NULL
);
CREATE TABLE public.order_products (
    order_id uuid REFERENCES public.orders (id) ON DELETE CASCADE,
    product_sku varchar(12) REFERENCES public.products (sku),
    added_at timestamptz,
    PRIMARY KEY (order_id, product_sku)
);
CREATE TABLE public.customers_products (
    customer_id integer NOT NULL REFERENCES public.customers,
    product_sku varchar(12) NOT NULL REFERENCES public.products,
    created_at timestamptz DEFAULT now(),
    PRIMARY KEY (customer_id, product_sku)
);
CREATE TABLE a (id int primary key, b_id int not null references b);
CREATE TABLE b (id int primary key, a_id int not null references a);
CREATE VIEW cheap AS SELECT id FROM public.orders WHERE total < 10;
CREATE SEQUENCE public.users_id_seq START WITH 1;
ALTER TABLE ONLY public.users ALTER COLUMN id SET DEFAULT nextval('public.users_id_seq'::regclass);
ALTER TABLE public.users OWNER TO shop;
ALTER TABLE ONLY public.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES public.customers(customer_id) ON UPDATE CASCADE ON DELETE CASCADE;
CREATE INDEX orders_total ON public.orders USING btree (total);
CREATE UNIQUE INDEX orders_status ON public.orders (status);
CREATE UNIQUE INDEX users_lower ON public.users (lower(email));
CREATE UNIQUE INDEX users_some ON public.users (balance) WHERE balance > 0;
COMMENT ON TABLE public.orders IS 'الطلبات';
COMMENT ON COLUMN public.orders.total IS 'Sum | المجموع';
COPY public.users (id, email) FROM stdin;
1	a@example.com
2	it's; odd
\.
INSERT INTO b VALUES (1, 1);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END; $$;
CREATE TRIGGER t BEFORE INSERT ON public.orders EXECUTE FUNCTION f();
GRANT SELECT ON public.orders TO reader;
\connect shop

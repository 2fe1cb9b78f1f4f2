// Reads project `shop` from a Sluice server by node-postgres, pg-cursor and postgres.js, and checks the values:
//     NODE_PATH=... node drivers.js HOST PORT
const assert = require("node:assert/strict");
const { Client } = require("pg");
const Cursor = require("pg-cursor");
const postgres = require("postgres");

const [host, port] = [process.argv[2], Number(process.argv[3])];
const NUMBERS = "SELECT n::int8 AS n, 'row ' || n AS text FROM generate_series(1, 1000) AS t(n) ORDER BY 1";

async function nodePostgres() {
  const client = new Client({ host, port, user: process.env.PGUSER ?? "sluice", database: "sluice" });
  await client.connect();
  // Every parameter goes out as a text of no type.
  const order = await client.query(
    "SELECT order_id, amount, status, ordered_at FROM silver.orders WHERE order_id = $1 AND amount > $2 AND order_date < $3",
    [6, 20.5, "2026-01-02"],
  );
  assert.deepEqual(order.rows, [
    { order_id: "6", amount: "1250.00", status: "open", ordered_at: new Date("2026-01-01T10:00:00.125Z") },
  ]);
  const casts = await client.query("SELECT $1::text[] AS texts, $2::int8[] AS numbers, $3::bool AS flag, $4::text AS nothing", [
    ["a", 'b "c"', null],
    [2, 3],
    true,
    null,
  ]);
  assert.deepEqual(casts.rows, [{ texts: ["a", 'b "c"', null], numbers: ["2", "3"], flag: true, nothing: null }]);
  for (let i = 0; i < 3; i++) {
    const named = { name: "by customer", text: "SELECT name FROM silver.customers WHERE customer_id = $1", values: [10] };
    assert.deepEqual((await client.query(named)).rows, [{ name: "Ada" }]);
  }
  const tags = await client.query("SELECT tags FROM silver.customers WHERE customer_id = 10");
  assert.deepEqual(tags.rows[0].tags, ["vip", "early bird"]);
  await assert.rejects(client.query("SELECT nothing FROM silver.orders"), { code: "42703" });

  const cursor = client.query(new Cursor(`SELECT * FROM (${NUMBERS}) AS t WHERE n > $1`, [10]));
  assert.deepEqual((await cursor.read(2)).map((row) => row.n), ["11", "12"]);
  assert.equal((await cursor.read(5000)).length, 988);
  await cursor.close();
  const left = client.query(new Cursor(NUMBERS));
  assert.equal((await left.read(1)).length, 1);
  await left.close();
  const both = await client.query("SELECT 'a' AS one; SELECT 'b' AS two");
  assert.deepEqual(both.map((result) => result.rows), [[{ one: "a" }], [{ two: "b" }]]);
  await client.end();
}

async function postgresJs() {
  const sql = postgres({ host, port, user: process.env.PGUSER ?? "sluice", database: "sluice", max: 2 });
  const rows = await sql`SELECT order_id, amount FROM silver.orders WHERE customer_id = ${10} ORDER BY 1`;
  assert.deepEqual([...rows].map((row) => [row.order_id, row.amount]), [["1", "20.00"], ["7", "30.05"]]);
  let count = 0;
  await sql.unsafe(NUMBERS).cursor(64, (part) => {
    count += part.length;
  });
  assert.equal(count, 1000);
  await sql.begin("read only", async (inner) => {
    await assert.rejects(inner.savepoint((deeper) => deeper`SELECT 1/0`), { code: "22012" });
    assert.equal((await inner`SELECT 'on' AS state`)[0].state, "on");
  });
  const copied = await sql`COPY (SELECT customer_id, name FROM silver.customers WHERE customer_id < 11) TO STDOUT`.readable();
  const text = [];
  for await (const chunk of copied) text.push(chunk.toString());
  assert.equal(text.join(""), "10\tAda\n");
  await sql.end();
}

(async () => {
  await nodePostgres();
  await postgresJs();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

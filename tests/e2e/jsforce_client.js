// jsforce, unchanged, against the address in the environment. Prints what it got as one JSON object.
'use strict';

const jsforce = require('jsforce');

async function main() {
  const connection = new jsforce.Connection({
    instanceUrl: process.env.E2E_ORIGIN,
    accessToken: process.env.E2E_TOKEN,
    version: process.env.E2E_VERSION || '61.0',
  });

  const first = await connection.query(
    'SELECT Id, Name, Email, Phone, Account.Name FROM Contact ORDER BY Id LIMIT 5',
  );

  const all = await connection.query('SELECT Id, Email FROM Contact', { autoFetch: true, maxFetch: 5000 });

  let page = await connection.query('SELECT Id FROM Contact');
  let count = 1;
  const ids = page.records.map((r) => r.Id);
  const next = [];
  while (!page.done) {
    // jsforce puts its own origin before the cursor.
    next.push(page.nextRecordsUrl.replace(connection.instanceUrl, ''));
    page = await connection.queryMore(page.nextRecordsUrl);
    count += 1;
    ids.push(...page.records.map((r) => r.Id));
  }

  const described = await connection.sobject('Contact').describe();
  const record = await connection.sobject('Contact').retrieve(first.records[0].Id);
  const everything = await connection.describeGlobal();

  const refusals = {};
  for (const field of ['Email', 'Salary__c', 'Name']) {
    try {
      await connection.query(`SELECT Id FROM Contact ORDER BY ${field} LIMIT 1`);
      refusals[field] = null;
    } catch (error) {
      refusals[field] = { kind: error.constructor.name, code: error.errorCode, message: error.message };
    }
  }

  const answer = {
    query: first,
    query_all: {
      totalSize: all.totalSize,
      emails: all.records.map((r) => (r.Email === undefined ? null : r.Email)),
      distinct: new Set(all.records.map((r) => r.Id)).size,
    },
    pages: { count, distinct: new Set(ids).size, next },
    describe: Object.fromEntries(described.fields.map((f) => [f.name, f])),
    global: everything.sobjects.map((o) => o.name),
    record,
    refusals,
  };
  process.stdout.write(JSON.stringify(answer));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

// jsforce, unchanged, extracts and loads tables through Bulk API 2.0. Prints what it got as one JSON object.
'use strict';

const jsforce = require('jsforce');

async function main() {
  const connection = new jsforce.Connection({
    instanceUrl: process.env.E2E_ORIGIN,
    accessToken: process.env.E2E_TOKEN,
    version: '61.0',
  });
  const bulk = connection.bulk2;
  bulk.pollInterval = 50;
  bulk.pollTimeout = 20000;

  const rows = await (await bulk.query('SELECT Id, Name, Email, Salary__c FROM Contact')).toArray();
  const inserted = await bulk.loadAndWaitForResults({
    object: 'Contact',
    operation: 'insert',
    input: [{ LastName: 'Unseen', Title: 'made' }, { LastName: 'Unseen', Title: 'x'.repeat(300) }],
  });
  const made = inserted.successfulResults[0].sf__Id;
  const deleted = await bulk.loadAndWaitForResults({ object: 'Contact', operation: 'delete', input: [{ Id: made }] });
  let mistake = null;
  try {
    await bulk.query('SELECT Id FROM Contact ORDER BY Email');
  } catch (error) {
    mistake = { code: error.errorCode, message: error.message };
  }
  process.stdout.write(JSON.stringify({ count: rows.length, rows: rows.slice(0, 5), inserted, deleted, mistake }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

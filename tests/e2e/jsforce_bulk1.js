// jsforce, unchanged, extracts and loads through Bulk API 1.0. Prints what it got as one JSON object.
'use strict';

const jsforce = require('jsforce');

async function main() {
  const connection = new jsforce.Connection({
    instanceUrl: process.env.E2E_ORIGIN,
    accessToken: process.env.E2E_TOKEN,
    version: '61.0',
  });
  const bulk = connection.bulk;
  bulk.pollInterval = 50;
  bulk.pollTimeout = 20000;

  const rows = await (await bulk.query('SELECT Id, Name, Email, Salary__c FROM Contact')).toArray();
  const inserted = await bulk.load('Contact', 'insert', [
    { LastName: 'Unseen', Title: 'made' },
    { LastName: 'Unseen', Title: 'x'.repeat(300) },
  ]);
  const made = inserted[0].id;

  // Step by step, as its documentation shows.
  const job = bulk.createJob('Contact', 'update');
  const batch = job.createBatch();
  const updating = new Promise((resolve, reject) => {
    batch.on('error', reject);
    batch.on('queue', () => batch.poll(50, 20000));
    batch.on('response', resolve);
  });
  batch.execute([{ Id: made, Title: 'changed' }]);
  const updated = await updating;
  const told = await job.check();
  const batches = await job.list();
  await job.close();

  const title = (await connection.sobject('Contact').retrieve(made)).Title;
  const upserted = await bulk.load('Contact', 'upsert', { extIdField: 'Loyalty_Number__c' }, [
    { Loyalty_Number__c: 'L-920001', LastName: 'Keyed' },
  ]);
  const deleted = await bulk.load('Contact', 'delete', [{ Id: made }]);
  let mistake = null;
  try {
    await bulk.query('SELECT Id FROM Contact ORDER BY Email');
  } catch (error) {
    mistake = { code: error.errorCode || error.name, message: error.message };
  }
  process.stdout.write(
    JSON.stringify({
      count: rows.length,
      rows: rows.slice(0, 5),
      inserted,
      updated,
      job: told,
      batches,
      title,
      upserted,
      deleted,
      mistake,
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

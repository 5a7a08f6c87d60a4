// jsforce, unchanged, changes records and asks in every other way it knows. Prints what it got as one JSON object.
'use strict';

const jsforce = require('jsforce');

async function main() {
  const connection = new jsforce.Connection({
    instanceUrl: process.env.E2E_ORIGIN,
    accessToken: process.env.E2E_TOKEN,
    version: '61.0',
  });
  const contacts = connection.sobject('Contact');

  const created = await contacts.create({ LastName: 'Unseen', Title: 'made', Loyalty_Number__c: 'L-900002' });
  const before = await contacts.retrieve(created.id);
  const updated = await contacts.update({ Id: created.id, Title: 'changed' });
  const after = await contacts.retrieve(created.id);
  const upserted = await contacts.upsert({ Loyalty_Number__c: 'L-900002', Department: 'upserted' }, 'Loyalty_Number__c');
  const byKey = await contacts.find({ Id: created.id }, ['Id', 'Department', 'Email']).execute();
  const found = await connection.search('FIND {Unseen} IN NAME FIELDS RETURNING Contact(Id, Title, Email)');

  const parents = await connection.query(
    'SELECT Id, Name, (SELECT Id, Email, Salary__c FROM Contacts) FROM Account ORDER BY Id LIMIT 3',
  );
  const all = await connection.query('SELECT Id FROM Contact', { autoFetch: true, maxFetch: 5000 });
  const several = await contacts.create([{ LastName: 'Unseen A' }, { LastName: 'Unseen B' }]);
  const removed = await contacts.destroy(several.map((one) => one.id));

  let mistake = null;
  try {
    await contacts.create({ Title: 'nobody' });
  } catch (error) {
    mistake = { code: error.errorCode, message: error.message };
  }
  const deleted = await contacts.destroy(created.id);
  let gone = null;
  try {
    await contacts.retrieve(created.id);
  } catch (error) {
    gone = error.errorCode;
  }
  const answer = {
    created, before, updated, after, upserted, by_key: byKey[0], found: found.searchRecords,
    parents: parents.records, all: new Set(all.records.map((r) => r.Id)).size, several, removed, mistake, deleted,
    gone: gone === 'NOT_FOUND',
    global: (await connection.describeGlobal()).sobjects.map((o) => o.name),
  };
  process.stdout.write(JSON.stringify(answer));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

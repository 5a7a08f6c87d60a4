// jsforce, unchanged, logs in over SOAP and uses its SOAP API. Prints what it got as one JSON object.
'use strict';

const jsforce = require('jsforce');

async function main() {
  const connection = new jsforce.Connection({ loginUrl: process.env.E2E_ORIGIN, version: '61.0' });
  await connection.login(`${process.env.E2E_CLIENT}@acme.example`, process.env.E2E_TOKEN);
  const soap = connection.soap;

  const info = await soap.getUserInfo();
  const time = await soap.getServerTimestamp();
  const query = await soap._invoke('query', {
    queryString: 'SELECT Id, Email, Name, Title FROM Contact ORDER BY Id LIMIT 2',
  });
  const described = await soap._invoke('describeSObject', { sObjectType: 'Contact' });
  const created = await soap.create({ type: 'Contact', LastName: 'Unseen', Title: 'made' });
  const updated = await soap.update({ type: 'Contact', Id: created.id, Title: null, Department: 'changed' });
  const after = await soap._invoke('retrieve', {
    fieldList: 'Id,Title,Department',
    sObjectType: 'Contact',
    ids: [created.id],
  });
  const upserted = await soap.upsert('Loyalty_Number__c', [
    { type: 'Contact', Loyalty_Number__c: 'L-900004', LastName: 'Keyed' },
  ]);
  const failures = {};
  for (const [name, run] of Object.entries({
    filter: () => soap._invoke('query', { queryString: 'SELECT Id FROM Contact WHERE Salary__c = 1' }),
    merge: () => soap.merge({}),
  })) {
    try {
      await run();
    } catch (error) {
      failures[name] = { code: error.errorCode || error.name, message: error.message };
    }
  }
  const deleted = await soap.delete([created.id]);
  process.stdout.write(
    JSON.stringify({
      instanceUrl: connection.instanceUrl,
      info,
      time,
      query,
      fields: [].concat(described.fields).map((field) => field.name),
      created,
      updated,
      after,
      upserted,
      deleted,
      failures,
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

// jsforce, unchanged, listens to a PushTopic and to change events. Prints what it got as one JSON object.
'use strict';

const jsforce = require('jsforce');

const CHANGES = '/data/ContactChangeEvent';

// The failure of a subscription, in its own words.
function refused(subscription) {
  return new Promise((resolve) => {
    subscription.then(() => resolve(null), (error) => resolve({ code: error.code, message: error.message }));
  });
}

async function main() {
  const connection = new jsforce.Connection({
    instanceUrl: process.env.E2E_ORIGIN,
    accessToken: process.env.E2E_TOKEN,
    version: '61.0',
  });
  const [contact] = (await connection.query('SELECT Id FROM Contact ORDER BY Id LIMIT 1')).records;
  const events = {};
  const came = {};
  const all = Promise.all(
    ['topic', 'changes'].map((name) => new Promise((resolve) => { came[name] = resolve; })),
  );
  const heard = (name) => (event) => {
    events[name] = event;
    came[name]();
  };
  await connection.streaming.topic('ContactUpdates').subscribe(heard('topic'));
  await connection.streaming.subscribe(CHANGES, heard('changes'));
  const failures = {
    filtered: await refused(connection.streaming.topic('WellPaid').subscribe(() => {})),
    platform: await refused(connection.streaming.subscribe('/event/Order__e', () => {})),
    hidden: await refused(connection.streaming.subscribe('/data/Nothing__ChangeEvent', () => {})),
  };
  await connection.sobject('Contact').update({ Id: contact.Id, Title: 'heard', Department: 'of' });
  await all;
  process.stdout.write(JSON.stringify({ id: contact.Id, events, failures }), () => process.exit(0));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`, () => process.exit(1));
});

// jsforce, unchanged, reads reports, a dashboard, a list view and records of the UI API. Prints what it got as one JSON
// object.
'use strict';

const jsforce = require('jsforce');

const REPORT = '00O5g00000000R1EAI';
const VIEW = '00B5g00000000A1EAI';

async function main() {
  const connection = new jsforce.Connection({
    instanceUrl: process.env.E2E_ORIGIN,
    accessToken: process.env.E2E_TOKEN,
    version: '61.0',
  });
  const report = connection.analytics.report(REPORT);
  const described = await report.describe();
  const result = await report.execute({ details: true });
  const later = await report.executeAsync({ details: true });
  const instance = await report.instance(later.id).retrieve();
  const instances = await report.instances();
  const dashboards = await connection.analytics.dashboards();
  const dashboard = await connection.analytics.dashboard(dashboards[0].id).components();
  const view = await connection.sobject('Contact').listview(VIEW).results();
  const id = view.records[0].columns.find((c) => c.fieldNameOrPath === 'Id').value;
  const record = await connection.request(`/services/data/v61.0/ui-api/records/${id}?fields=Contact.Email,Contact.Name`);
  let mistake = null;
  try {
    await connection.analytics.report('00O5g00000000R5EAI').execute();
  } catch (error) {
    mistake = { code: error.errorCode, message: error.message };
  }
  const first = (answer) => {
    const cells = answer.factMap['T!T'].rows[0].dataCells;
    return Object.fromEntries(answer.reportMetadata.detailColumns.map((name, at) => [name, cells[at].value]));
  };
  process.stdout.write(JSON.stringify({
    described: described.reportMetadata.detailColumns,
    row: first(result),
    later: first(instance),
    instances: instances.length,
    components: dashboard.componentData.length,
    view: Object.fromEntries(view.records[0].columns.map((c) => [c.fieldNameOrPath, c.value])),
    record,
    mistake,
  }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

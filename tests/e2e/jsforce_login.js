// jsforce, unchanged, logs in in every way it knows. Prints what it got as one JSON object.
'use strict';

const jsforce = require('jsforce');

const loginUrl = process.env.E2E_ORIGIN;
const version = '61.0';
const client = process.env.E2E_CLIENT;
const key = process.env.E2E_TOKEN;

async function look(connection, user) {
  const who = await connection.identity();
  const query = await connection.query('SELECT Id, Email FROM Contact ORDER BY Id LIMIT 2');
  return {
    instanceUrl: connection.instanceUrl,
    token: connection.accessToken,
    user,
    who,
    records: query.records,
  };
}

async function fails(run) {
  try {
    await run();
    return null;
  } catch (error) {
    return { name: error.name, code: error.errorCode || null, message: error.message };
  }
}

async function main() {
  const answer = {};

  const soap = new jsforce.Connection({ loginUrl, version });
  answer.soap = await look(soap, await soap.login(`${client}@acme.example`, key));

  const app = { loginUrl, clientId: 'app', clientSecret: 'secret', redirectUri: 'https://app.example/' };
  const password = new jsforce.Connection({ oauth2: app, version });
  answer.password = await look(password, await password.login(client, `${key}AbCdEf0123456789AbCdEf01`));

  const own = new jsforce.Connection({
    oauth2: { loginUrl, clientId: client, clientSecret: key },
    instanceUrl: loginUrl,
    version,
  });
  const user = await own.authorize({ grant_type: 'client_credentials' });
  answer.client_credentials = await look(own, user);

  // A session alone, as if it came from elsewhere: jsforce asks where it finds who it is.
  const found = new jsforce.Connection({ instanceUrl: loginUrl, accessToken: soap.accessToken, version });
  answer.found = await look(found, null);

  const other = () => new jsforce.Connection({ loginUrl, version });
  const wrong = `${key.slice(0, -2)}AA`;
  answer.failures = {
    soap: await fails(() => other().login(client, wrong)),
    password: await fails(() => new jsforce.Connection({ oauth2: app, version }).login('other', key)),
    code: await fails(() => new jsforce.Connection({ oauth2: app, version }).authorize('a-code')),
    refresh: await fails(() => new jsforce.OAuth2(app).refreshToken('a-token')),
    session: await fails(() =>
      new jsforce.Connection({ instanceUrl: loginUrl, accessToken: `${soap.accessToken}x`, version }).query(
        'SELECT Id FROM Contact',
      ),
    ),
  };
  process.stdout.write(JSON.stringify(answer));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

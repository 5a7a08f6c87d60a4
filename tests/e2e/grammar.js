// Reads a JSON list of SOQL queries and prints for each whether @jetstreamapp/soql-parser-js reads it, and whether
// tree-sitter-sfapex does. Where one of them cannot be loaded it says so and fails: one alone compares nothing.
const fs = require('node:fs');

function load(what, how) {
  try {
    return how();
  } catch (error) {
    process.stderr.write(`${what} cannot be loaded, so that SOQL is not compared: ${error.message.split('\n')[0]}\n`);
    process.stderr.write('tests/e2e/install-clients.sh installs it; tree-sitter needs a C++ compiler\n');
    return process.exit(2);
  }
}

const { parseQuery } = load('@jetstreamapp/soql-parser-js', () => require('@jetstreamapp/soql-parser-js'));
const tree = load('tree-sitter-sfapex', () => {
  const Parser = require('tree-sitter');
  const parser = new Parser();
  parser.setLanguage(require('tree-sitter-sfapex').soql);
  return parser;
});

function first(query) {
  try {
    parseQuery(query);
    return true;
  } catch (error) {
    return false;
  }
}

const queries = JSON.parse(fs.readFileSync(0, 'utf8'));
const verdicts = queries.map((query) => [first(query), !tree.parse(query).rootNode.hasError]);
process.stdout.write(JSON.stringify(verdicts));

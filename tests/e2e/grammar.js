// Reads a JSON list of SOQL queries and prints for each whether @jetstreamapp/soql-parser-js reads it, and whether
// tree-sitter-sfapex does (null where it could not be built).
const fs = require('node:fs');
const { parseQuery } = require('@jetstreamapp/soql-parser-js');

let tree = null;
try {
  const Parser = require('tree-sitter');
  tree = new Parser();
  tree.setLanguage(require('tree-sitter-sfapex').soql);
} catch (error) {
  tree = null;
}

function first(query) {
  try {
    parseQuery(query);
    return true;
  } catch (error) {
    return false;
  }
}

const queries = JSON.parse(fs.readFileSync(0, 'utf8'));
const verdicts = queries.map((query) => [first(query), tree && !tree.parse(query).rootNode.hasError]);
process.stdout.write(JSON.stringify(verdicts));

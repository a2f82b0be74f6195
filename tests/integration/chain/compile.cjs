// Compile what a test chain runs: node compile.cjs PACKAGES SET OUT
// PACKAGES is a directory with node_modules, SET one of the names below, OUT a JSON file of
// contracts by name: abi, bytecode, links, runtime, selectors and topics by signature. A package
// that ships what its own compiler made is read as it is.
const fs = require('fs');
const path = require('path');

const [packages, set, out] = process.argv.slice(2);
const modules = path.join(packages, 'node_modules');
const load = (name) => require(path.join(modules, name));
const { keccak256 } = load('js-sha3');

const aave = path.join(modules, '@aave-dao/aave-v3-origin/src/contracts/');
const SETS = {
  aave: {
    solc: 'solc-0.8.27',
    roots: [
      'instances/PoolInstance.sol',
      'instances/PoolConfiguratorInstance.sol',
      'instances/ATokenInstance.sol',
      'instances/VariableDebtTokenInstance.sol',
      'misc/AaveOracle.sol',
      'misc/PriceOracleSentinel.sol',
      'misc/DefaultReserveInterestRateStrategyV2.sol',
      'mocks/oracle/SequencerOracle.sol',
      'mocks/testnet-helpers/TestnetERC20.sol',
      'protocol/configuration/PoolAddressesProvider.sol',
      'protocol/configuration/ACLManager.sol',
    ].map((name) => [`aave/contracts/${name}`, path.join(aave, name)]),
    places: [
      ['openzeppelin-contracts-upgradeable/contracts/', '@openzeppelin/contracts-upgradeable/'],
      ['openzeppelin-contracts/contracts/', '@openzeppelin/contracts/'],
      ['@openzeppelin/', '@openzeppelin/'],
      ['solidity-utils/', '@bgd-labs/solidity-utils/src/'],
      ['aave/', '@aave-dao/aave-v3-origin/src/'],
    ],
    settings: { evmVersion: 'shanghai', optimizer: { enabled: true, runs: 200 } },
  },
  morpho: {
    solc: 'solc-0.8.19',
    roots: ['Morpho.sol', 'mocks/ERC20Mock.sol', 'mocks/OracleMock.sol', 'mocks/IrmMock.sol'].map(
      (name) => [name, path.join(modules, '@morpho-org/morpho-blue/src', name)],
    ),
    places: [['', '@morpho-org/morpho-blue/src/']],
    settings: { optimizer: { enabled: true, runs: 200 } },
  },
  aave_v2: { artefacts: path.join(modules, '@aave/protocol-v2/artifacts/contracts') },
  liquity: { artefacts: path.join(modules, '@sovryn-zero/contracts/artifacts/contracts') },
  venus: { artefacts: path.join(modules, '@venusprotocol/venus-protocol/artifacts/contracts') },
  isolated: {
    artefacts: path.join(modules, '@venusprotocol/isolated-pools/artifacts/contracts'),
  },
  comet: {
    solc: 'solc-0.8.19',
    roots: [['comet.sol', path.join(__dirname, 'comet.sol')]],
    places: [],
    settings: { optimizer: { enabled: true, runs: 200 } },
  },
  vaults: {
    solc: 'solc-0.8.19',
    roots: [['vaults.sol', path.join(__dirname, 'vaults.sol')]],
    places: [],
    settings: { optimizer: { enabled: true, runs: 200 } },
  },
  vault_kit: {
    solc: 'solc-0.8.19',
    roots: [['vault_kit.sol', path.join(__dirname, 'vault_kit.sol')]],
    places: [],
    settings: { optimizer: { enabled: true, runs: 200 } },
  },
  fixtures: {
    solc: 'solc-0.8.19',
    roots: [['fixtures.sol', path.join(__dirname, 'fixtures.sol')]],
    places: [],
    settings: { optimizer: { enabled: true, runs: 200 } },
  },
};

const type = (one) =>
  one.type.startsWith('tuple')
    ? `(${one.components.map(type).join(',')})${one.type.slice(5)}`
    : one.type;
const signatures = (abi, kind) =>
  abi
    .filter((entry) => entry.type === kind)
    .map((entry) => `${entry.name}(${entry.inputs.map(type).join(',')})`);
const hashes = (all, digits) =>
  Object.fromEntries(all.map((one) => [one, keccak256(one).slice(0, digits)]));
const described = (file, abi, bytecode, links, runtime) => ({
  file,
  abi,
  bytecode,
  links,
  runtime,
  selectors: hashes(signatures(abi, 'function'), 8),
  topics: Object.fromEntries(
    signatures(abi, 'event').map((event) => [event, `0x${keccak256(event)}`]),
  ),
});

const shipped = (directory) => {
  const contracts = {};
  for (const entry of fs.readdirSync(directory, { recursive: true })) {
    if (entry.endsWith('.json') && !entry.endsWith('.dbg.json')) {
      const one = JSON.parse(fs.readFileSync(path.join(directory, entry), 'utf8'));
      const code = [one.bytecode, one.deployedBytecode].map((text) => text.slice(2));
      contracts[one.contractName] = described(
        entry,
        one.abi,
        code[0],
        one.linkReferences,
        code[1],
      );
    }
  }
  return contracts;
};

const compiled = (chosen) => {
  const read = (name) => {
    for (const [prefix, place] of chosen.places) {
      const file = path.join(modules, place, name.slice(prefix.length));
      if (name.startsWith(prefix) && fs.existsSync(file)) {
        return { contents: fs.readFileSync(file, 'utf8') };
      }
    }
    return { error: `not found: ${name}` };
  };
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(
      chosen.roots.map(([name, file]) => [name, { content: fs.readFileSync(file, 'utf8') }]),
    ),
    settings: {
      ...chosen.settings,
      outputSelection: {
        '*': {
          '*': [
            'abi',
            'evm.bytecode.object',
            'evm.bytecode.linkReferences',
            'evm.deployedBytecode.object',
            'evm.methodIdentifiers',
          ],
        },
      },
    },
  };
  const told = JSON.parse(load(chosen.solc).compile(JSON.stringify(input), { import: read }));
  const errors = (told.errors || []).filter((error) => error.severity === 'error');
  if (errors.length) {
    console.error(errors.map((error) => error.formattedMessage).join('\n'));
    process.exit(1);
  }
  const contracts = {};
  for (const [file, named] of Object.entries(told.contracts)) {
    for (const [name, one] of Object.entries(named)) {
      const { bytecode, deployedBytecode, methodIdentifiers } = one.evm;
      contracts[name] = {
        ...described(
          file,
          one.abi,
          bytecode.object,
          bytecode.linkReferences,
          deployedBytecode.object,
        ),
        selectors: methodIdentifiers,
      };
    }
  }
  return contracts;
};

const chosen = SETS[set];
const contracts = chosen.artefacts ? shipped(chosen.artefacts) : compiled(chosen);
fs.writeFileSync(`${out}.part`, JSON.stringify(contracts));
fs.renameSync(`${out}.part`, out);

/** Fast tests import the sources directly; slow suites (engine, daemons, whole path) are projects of their own. */
const base = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
};

const project = (name) => ({
  ...base,
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
});

export default {
  // A limit against hanging, not a measure: shared machines are slow at times.
  testTimeout: 60_000,
  projects: [
    'fast',
    'sim',
    'embedded',
    'guest',
    'doors',
    'browser',
    'package',
    'engine',
    'hooks',
    'hostile',
    'services',
    'puppet',
    'puppet-server',
    'e2e',
    'openstack',
    'openstack-fake',
    'vm',
  ].map(project),
};

import { runStack } from './program.js';

// Pulumi's language host takes the outputs from the program's default export when it is a function; that is
// the only way to have outputs that depend on the stack's kind.
export default runStack;

import { InvalidArgumentError } from 'commander';

/** Argument of an option that counts things, 1 or more. */
export const wholeNumber = (text: string): number => {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('give a whole number, 1 or more');
  return Number(text);
};

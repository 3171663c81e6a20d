/** The boot id of the VM at that address, a UUID: a premade book knows it before anybody asked. */
export const bootIdOf = (address) => {
  const digits = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return `00000000-0000-4000-8000-0000${digits.join('')}`;
};

export const constraints: string;
export function fuzzer(): { readonly dir: string; readonly program: string };

import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../clock.js';
import { ApiError, badRequest, conflict, notFound } from '../http/errors.js';

export interface Named {
  readonly id: string;
  readonly name: string;
}
export interface Project extends Named {
  readonly domain: Named;
}
export interface User extends Named {
  readonly domain: Named;
  readonly password: string;
  /** Roles by project id. */
  readonly roles: Readonly<Record<string, readonly Named[]>>;
}
export interface ApplicationCredential extends Named {
  readonly secret: string;
  readonly userId: string;
  readonly projectId: string;
  readonly roles: readonly Named[];
  readonly unrestricted: boolean;
  readonly description: string | null;
  readonly expiresAt: number | null;
}
export interface Token {
  readonly value: string;
  readonly auditId: string;
  readonly user: User;
  readonly project: Project | undefined;
  readonly domain: Named | undefined;
  readonly roles: readonly Named[];
  readonly methods: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly applicationCredential: ApplicationCredential | undefined;
}

interface NameOrId {
  readonly id?: string | undefined;
  readonly name?: string | undefined;
}
export interface AuthRequest {
  readonly identity: {
    readonly methods: readonly string[];
    readonly password?:
      | { readonly user: NameOrId & { readonly password: string; readonly domain?: NameOrId | undefined } }
      | undefined;
    readonly token?: { readonly id: string } | undefined;
    readonly application_credential?:
      | (NameOrId & {
          readonly secret: string;
          readonly user?: (NameOrId & { readonly domain?: NameOrId | undefined }) | undefined;
        })
      | undefined;
  };
  readonly scope?:
    | {
        readonly project?: (NameOrId & { readonly domain?: NameOrId | undefined }) | undefined;
        readonly domain?: NameOrId | undefined;
        readonly system?: unknown;
      }
    | 'unscoped'
    | undefined;
}

function hexId(): string {
  return randomUUID().replaceAll('-', '');
}

const DENIED = 'The request you have made requires authentication.';

/** Keystone's users, projects and tokens. */
export class Identity {
  readonly defaultDomain: Named = { id: 'default', name: 'Default' };
  readonly projects: readonly Project[];
  readonly users: readonly User[];
  readonly applicationCredentials = new Map<string, ApplicationCredential>();
  readonly #tokens = new Map<string, Token>();
  readonly #clock: Clock;
  tokenLifetimeMs: number;

  constructor(clock: Clock, password: string, tokenLifetimeS: number) {
    this.#clock = clock;
    this.tokenLifetimeMs = tokenLifetimeS * 1000;
    const [admin, demo] = ['admin', 'demo'].map((name) => ({
      id: hexId(),
      name,
      domain: this.defaultDomain,
    })) as [Project, Project];
    this.projects = [admin, demo];
    const role = (name: string): Named => ({ id: hexId(), name });
    const [adminRole, member, reader] = [role('admin'), role('member'), role('reader')];
    this.users = [
      {
        id: hexId(),
        name: 'admin',
        domain: this.defaultDomain,
        password,
        roles: { [admin.id]: [adminRole, member, reader], [demo.id]: [adminRole, member, reader] },
      },
      {
        id: hexId(),
        name: 'demo',
        domain: this.defaultDomain,
        password,
        roles: { [demo.id]: [member, reader] },
      },
    ];
  }

  project(name: string): Project {
    const project = this.projects.find((each) => each.name === name || each.id === name);
    if (!project) throw notFound(`Could not find project: ${name}.`);
    return project;
  }

  #sameDomain(domain: NameOrId | undefined): boolean {
    return !domain || domain.id === this.defaultDomain.id || domain.name === this.defaultDomain.name;
  }

  #findUser(wanted: NameOrId & { domain?: NameOrId | undefined }): User | undefined {
    return this.users.find((user) =>
      wanted.id !== undefined
        ? user.id === wanted.id
        : user.name === wanted.name && this.#sameDomain(wanted.domain),
    );
  }

  authenticate(request: AuthRequest): Token {
    const method = request.identity.methods[0];
    if (method === 'password') return this.#byPassword(request);
    if (method === 'token') return this.#byToken(request);
    if (method === 'application_credential') return this.#byApplicationCredential(request);
    throw new ApiError(401, DENIED);
  }

  #byPassword(request: AuthRequest): Token {
    const given = request.identity.password?.user;
    if (!given)
      throw badRequest(
        'Expecting to find user in identity.password. The server could not comply with the request since it is either malformed or otherwise incorrect.',
      );
    const user = this.#findUser(given);
    if (!user || user.password !== given.password) throw new ApiError(401, DENIED);
    return this.#issue(user, request.scope, ['password']);
  }

  /** A token without the user's password, for the control API. */
  issueTo(userName: string, project: string): Token {
    const user = this.users.find((each) => each.name === userName);
    if (!user) throw notFound(`Could not find user: ${userName}.`);
    return this.#issue(user, { project: { id: this.project(project).id } }, ['password']);
  }

  #byToken(request: AuthRequest): Token {
    const token = this.validate(request.identity.token?.id);
    if (!token) throw new ApiError(401, DENIED);
    if (token.applicationCredential) throw new ApiError(403, 'Application credentials cannot be rescoped.');
    return this.#issue(token.user, request.scope, ['token', ...token.methods], token.expiresAt);
  }

  #byApplicationCredential(request: AuthRequest): Token {
    const given = request.identity.application_credential;
    const owner = given?.user ? this.#findUser(given.user) : undefined;
    const credential = [...this.applicationCredentials.values()].find((each) =>
      given?.id !== undefined ? each.id === given.id : each.name === given?.name && each.userId === owner?.id,
    );
    const expired = credential?.expiresAt != null && credential.expiresAt <= this.#clock.now();
    if (!credential || credential.secret !== given?.secret || expired) throw new ApiError(401, DENIED);
    if (request.scope !== undefined) throw new ApiError(401, DENIED);
    const user = this.users.find((each) => each.id === credential.userId);
    if (!user) throw new ApiError(401, DENIED);
    return this.#store({
      user,
      project: this.project(credential.projectId),
      domain: undefined,
      roles: credential.roles,
      methods: ['application_credential'],
      applicationCredential: credential,
    });
  }

  #issue(user: User, scope: AuthRequest['scope'], methods: readonly string[], expiresAt?: number): Token {
    let project: Project | undefined;
    let domain: Named | undefined;
    if (scope !== undefined && scope !== 'unscoped') {
      if (scope.project) {
        const wanted = scope.project;
        project = this.projects.find((each) =>
          wanted.id !== undefined
            ? each.id === wanted.id
            : each.name === wanted.name && this.#sameDomain(wanted.domain),
        );
        if (!project || !user.roles[project.id]) throw new ApiError(401, DENIED);
      } else if (scope.domain) {
        if (!this.#sameDomain(scope.domain)) throw new ApiError(401, DENIED);
        domain = this.defaultDomain;
      }
    }
    const roles = project ? (user.roles[project.id] ?? []) : [];
    return this.#store(
      { user, project, domain, roles, methods, applicationCredential: undefined },
      expiresAt,
    );
  }

  #store(token: Omit<Token, 'value' | 'auditId' | 'issuedAt' | 'expiresAt'>, expiresAt?: number): Token {
    const now = this.#clock.now();
    for (const [value, old] of this.#tokens) if (old.expiresAt <= now) this.#tokens.delete(value);
    const issued: Token = {
      ...token,
      value: `gAAAAA${randomBytes(60).toString('base64url')}`,
      auditId: randomBytes(16).toString('base64url'),
      issuedAt: now,
      expiresAt: expiresAt ?? now + this.tokenLifetimeMs,
    };
    this.#tokens.set(issued.value, issued);
    return issued;
  }

  /** The token of this value while it is valid. */
  validate(value: string | undefined): Token | undefined {
    const token = value === undefined ? undefined : this.#tokens.get(value);
    return token && token.expiresAt > this.#clock.now() ? token : undefined;
  }

  revoke(value: string): void {
    this.#tokens.delete(value);
  }

  /** Ends every token at once: the next call of each client is answered 401. */
  revokeAll(): void {
    this.#tokens.clear();
  }

  createApplicationCredential(
    token: Pick<Token, 'user' | 'project' | 'roles'>,
    wanted: {
      name: string;
      secret?: string | undefined;
      description?: string | null | undefined;
      unrestricted?: boolean | undefined;
      expiresAt?: number | null | undefined;
    },
  ): ApplicationCredential {
    if (!token.project) throw badRequest('Application credentials need a project.');
    if (
      [...this.applicationCredentials.values()].some(
        (each) => each.name === wanted.name && each.userId === token.user.id,
      )
    )
      throw conflict(
        `Conflict occurred attempting to store application_credential - Duplicate entry found with name ${wanted.name}.`,
      );
    const credential: ApplicationCredential = {
      id: hexId(),
      name: wanted.name,
      secret: wanted.secret ?? randomBytes(48).toString('base64url'),
      userId: token.user.id,
      projectId: token.project.id,
      roles: token.roles,
      unrestricted: wanted.unrestricted ?? false,
      description: wanted.description ?? null,
      expiresAt: wanted.expiresAt ?? null,
    };
    this.applicationCredentials.set(credential.id, credential);
    return credential;
  }
}

/** What the catalog is made of. */
export interface CatalogPlace {
  /** `http://HOST:PORT` with the path before every service. */
  readonly origin: string;
  readonly regions: readonly string[];
  /** Each region and interface has paths of its own. */
  readonly doors: boolean;
}

/** Keystone's catalog for a token of a project; Cinder's address carries the project, as it mostly does. */
export function catalogOf(place: CatalogPlace, projectId: string): object[] {
  const service = (type: string, name: string, path: string): object => ({
    id: `${name}-service`,
    type,
    name,
    endpoints: place.regions.flatMap((region) =>
      ['public', 'internal', 'admin'].map((kind) => ({
        id: `${name}-${region}-${kind}`,
        interface: kind,
        region,
        region_id: region,
        url: `${place.origin}${place.doors ? `/at/${region}/${kind}` : ''}${path}`,
      })),
    ),
  });
  return [
    service('identity', 'keystone', '/identity/v3'),
    service('compute', 'nova', '/compute/v2.1'),
    service('network', 'neutron', '/network'),
    service('image', 'glance', '/image'),
    service('volumev3', 'cinderv3', `/volume/v3/${projectId}`),
  ];
}

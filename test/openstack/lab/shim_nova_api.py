# MODE fake only.  Nova 26 asks Neutron for ports and security groups each time somebody looks at a server. The hundred VMs
# have no groups of their own, and Pulumi looks at each of them five times.
import nova.cmd  # patches the standard library: before whatever else is Nova's
from nova.api.openstack.compute.views import servers as _views
_views.ViewBuilder._add_security_grps = lambda self, *_, **__: None

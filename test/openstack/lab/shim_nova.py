# Nova 26 loads the metadata of each server that it looks at with subqueryload, which SQLAlchemy 1.4 compiles anew at
# every load; selectinload gives the same rows with a statement that is kept. Run by up.sh in front of Nova's services.
import sqlalchemy.orm as _orm
_orm.subqueryload = _orm.selectinload

"""Write what a model finds in an archive of pictures and videos to one table, or one COCO file."""
